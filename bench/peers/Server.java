// SPDX-License-Identifier: Apache-2.0

// The least server on Californium: /bench, which PUT replaces and GET reads and observes. Arguments: the
// loopback port, and "con" when notifications are to be confirmable. All else is the library's default,
// the deduplicator too unless the property bench.deduplicator names another.

import java.net.InetSocketAddress;

import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.MediaTypeRegistry;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;

public class Server {
  static class Stored extends CoapResource {
    private volatile byte[] body = new byte[0];

    Stored(boolean isConfirmable) {
      super("bench");
      setObservable(true);
      setObserveType(isConfirmable ? CoAP.Type.CON : CoAP.Type.NON);
    }

    @Override
    public void handleGET(CoapExchange exchange) {
      exchange.respond(CoAP.ResponseCode.CONTENT, body, MediaTypeRegistry.APPLICATION_OCTET_STREAM);
    }

    @Override
    public void handlePUT(CoapExchange exchange) {
      body = exchange.getRequestPayload();
      exchange.respond(CoAP.ResponseCode.CHANGED);
      changed();
    }
  }

  public static void main(String[] arguments) {
    CoapConfig.register();
    UdpConfig.register();
    Configuration configuration = new Configuration(); // no file of properties
    Configuration.setStandard(configuration);
    String deduplicator = System.getProperty("bench.deduplicator");
    if (deduplicator != null) configuration.set(CoapConfig.DEDUPLICATOR, deduplicator);
    CoapServer server = new CoapServer(configuration);
    server.addEndpoint(CoapEndpoint.builder().setConfiguration(configuration)
        .setInetSocketAddress(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])))
        .build());
    server.add(new Stored(arguments.length > 1 && arguments[1].equals("con")));
    server.start();
  }
}
