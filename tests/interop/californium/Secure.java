// SPDX-License-Identifier: Apache-2.0

// A client on Californium over DTLS with connection IDs. Arguments: psk IDENTITY KEY, raw KEY-FILE
// SERVER-KEY-FILE, or x509 KEY-FILE CHAIN-FILE CA-FILE; then cipher suites. A request is a line of
// method, URI and payload, separated by tabs; a response is a line of code, payload, cipher suite
// and the lengths of the connection IDs that are read and written, or of "failed" and why.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.elements.DtlsEndpointContext;
import org.eclipse.californium.elements.EndpointContext;
import org.eclipse.californium.elements.auth.RawPublicKeyIdentity;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.util.Bytes;
import org.eclipse.californium.elements.util.SslContextUtil;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.CertificateType;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.californium.scandium.dtls.pskstore.AdvancedSinglePskStore;
import org.eclipse.californium.scandium.dtls.x509.SingleCertificateProvider;
import org.eclipse.californium.scandium.dtls.x509.StaticNewAdvancedCertificateVerifier;

public class Secure {
  static final int CID_LENGTH = 6;

  /** What Californium reads as PEM has that name. */
  static SslContextUtil.Credentials credentials(String file) throws Exception {
    Path pem = Files.createTempFile("key", ".pem");
    Files.write(pem, Files.readAllBytes(Path.of(file)));
    try {
      return SslContextUtil.loadCredentials("file://" + pem, null, null, null);
    } finally {
      Files.delete(pem);
    }
  }

  static X509Certificate[] trusted(String file) throws Exception {
    return Arrays.stream(SslContextUtil.loadTrustedCertificates("file://" + file, null, null))
        .toArray(X509Certificate[]::new);
  }

  static int countOf(String mode) {
    return mode.equals("x509") ? 4 : 3;
  }

  /** Takes the arguments of the mode. */
  static void configure(String[] a, DtlsConnectorConfig.Builder b) throws Exception {
    switch (a[0]) {
      case "psk":
        b.setAdvancedPskStore(
            new AdvancedSinglePskStore(a[1], a[2].getBytes(StandardCharsets.US_ASCII)));
        break;
      case "raw": {
        SslContextUtil.Credentials own = credentials(a[1]), server = credentials(a[2]);
        b.setCertificateIdentityProvider(
            new SingleCertificateProvider(own.getPrivateKey(), own.getPublicKey()));
        b.setAdvancedCertificateVerifier(StaticNewAdvancedCertificateVerifier.builder()
            .setTrustedRPKs(new RawPublicKeyIdentity(server.getPublicKey())).build());
        break;
      }
      default: {
        X509Certificate[] chain =
            SslContextUtil.loadCertificateChain("file://" + a[2], null, null);
        b.setCertificateIdentityProvider(new SingleCertificateProvider(
            credentials(a[1]).getPrivateKey(), chain, CertificateType.X_509));
        b.setAdvancedCertificateVerifier(StaticNewAdvancedCertificateVerifier.builder()
            .setTrustedCertificates(trusted(a[3])).build());
      }
    }
  }

  static int length(Bytes id) {
    return id == null ? 0 : id.length();
  }

  static String shown(CoapResponse response) {
    EndpointContext context = response.advanced().getSourceContext();
    return String.join("\t", response.getCode().text, response.getResponseText(),
        context.get(DtlsEndpointContext.KEY_CIPHER),
        length(context.get(DtlsEndpointContext.KEY_READ_CONNECTION_ID)) + "/"
            + length(context.get(DtlsEndpointContext.KEY_WRITE_CONNECTION_ID)));
  }

  static String ask(CoapClient client, String[] field) {
    try {
      Request request = new Request(CoAP.Code.valueOf(field[0]));
      request.setURI(field[1]);
      if (!field[2].isEmpty()) request.setPayload(field[2]);
      CoapResponse response = client.advanced(request);
      return response == null ? "failed\tno answer" : shown(response);
    } catch (Exception e) {
      Throwable cause = e;
      while (cause.getCause() != null) cause = cause.getCause();
      return "failed\t" + cause.getMessage();
    }
  }

  public static void main(String[] arguments) throws Exception {
    CoapConfig.register();
    DtlsConfig.register();
    Configuration settings = new Configuration();
    Configuration.setStandard(settings);
    settings.set(DtlsConfig.DTLS_ROLE, DtlsRole.CLIENT_ONLY);
    settings.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, CID_LENGTH);
    settings.set(DtlsConfig.DTLS_AUTO_HANDSHAKE_TIMEOUT, null, TimeUnit.SECONDS);
    settings.set(DtlsConfig.DTLS_USE_SERVER_NAME_INDICATION, true);
    List<CipherSuite> suites = new ArrayList<>();
    for (int i = countOf(arguments[0]); i < arguments.length; i++)
      suites.add(CipherSuite.getTypeByName(arguments[i]));
    settings.set(DtlsConfig.DTLS_CIPHER_SUITES, suites);
    settings.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
    DtlsConnectorConfig.Builder builder = DtlsConnectorConfig.builder(settings);
    configure(arguments, builder);
    CoapClient client = new CoapClient();
    client.setEndpoint(new CoapEndpoint.Builder().setConfiguration(settings)
        .setConnector(new DTLSConnector(builder.build())).build());
    client.setTimeout(60000L);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine())
      System.out.println(ask(client, line.split("\t", -1)));
    client.shutdown();
    System.exit(0);
  }
}
