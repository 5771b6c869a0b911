// SPDX-License-Identifier: Apache-2.0

// A client on Californium. A request is a line of fields separated by tabs: method, URI, payload in
// hexadecimal, Content-Format, Accept, ETag in hexadecimal, "non"; what is not meant is empty. A
// response is a line of code, payload in hexadecimal, Content-Format, ETag, Location-Path.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HexFormat;

import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.OptionSet;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;

public class Client {
  private static final HexFormat HEX = HexFormat.of();

  static Request build(String[] field) {
    Request request = new Request(CoAP.Code.valueOf(field[0]));
    request.setURI(field[1]);
    if (!field[2].isEmpty()) request.setPayload(HEX.parseHex(field[2]));
    OptionSet options = request.getOptions();
    if (!field[3].isEmpty()) options.setContentFormat(Integer.parseInt(field[3]));
    if (!field[4].isEmpty()) options.setAccept(Integer.parseInt(field[4]));
    if (!field[5].isEmpty()) options.addETag(HEX.parseHex(field[5]));
    request.setConfirmable(!field[6].equals("non"));
    return request;
  }

  static String shown(CoapResponse response) {
    OptionSet options = response.getOptions();
    String tag = options.getETags().isEmpty() ? "" : HEX.formatHex(options.getETags().get(0));
    String path = options.getLocationPathCount() == 0 ? "" : "/" + options.getLocationPathString();
    int format = options.hasContentFormat() ? options.getContentFormat() : -1;
    return String.join("\t", response.getCode().text, HEX.formatHex(response.getPayload()),
        format < 0 ? "" : Integer.toString(format), tag, path);
  }

  public static void main(String[] arguments) throws Exception {
    CoapConfig.register();
    UdpConfig.register();
    Configuration.setStandard(new Configuration());
    CoapClient client = new CoapClient();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      CoapResponse response = client.advanced(build(line.split("\t", -1)));
      System.out.println(response == null ? "timeout\t\t\t\t" : shown(response));
    }
    System.exit(0);
  }
}
