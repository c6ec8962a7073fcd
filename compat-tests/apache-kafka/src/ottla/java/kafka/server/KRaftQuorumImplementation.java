package kafka.server;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import kafka.utils.Logging;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.fault.FaultHandler;
import ottla.OttlaBroker;

/**
 * Starts Ottla where Apache's older tests start a broker. It stands before Apache's class of this name on the class path.
 *
 * <p>The harness brings a controller in this JVM, to which nobody speaks.
 */
public final class KRaftQuorumImplementation extends OneNodeQuorum {
    private OttlaBroker node;

    public KRaftQuorumImplementation(
            ControllerServer controller, FaultHandlerFactory faultHandlerFactory, File metadataDir,
            CompletableFuture<Map<Integer, InetSocketAddress>> voters, String clusterId, Logging log,
            FaultHandler faultHandler) {
        super(controller, faultHandlerFactory, metadataDir, voters, clusterId, log, faultHandler);
    }

    @Override
    protected KafkaBroker newBroker(KafkaConfig config, Time time) throws IOException, InterruptedException {
        int controllerPort = OttlaBroker.freePort();
        Map<String, Object> settings = new HashMap<>(config.originals());
        String listeners = withFreePorts(settings.get("listeners").toString());
        settings.put("listeners", "%s,CONTROLLER://localhost:%d".formatted(listeners, controllerPort));
        settings.put("advertised.listeners", listeners);
        settings.put("controller.listener.names", "CONTROLLER");
        settings.put("controller.quorum.voters", "%d@localhost:%d".formatted(config.nodeId(), controllerPort));
        settings.put("process.roles", "broker,controller");
        int port = Integer.parseInt(listeners.replaceAll("^[^,]*:(\\d+).*$", "$1"));
        Path directory = metadataDir().toPath().resolve("ottla");
        node = new OttlaBroker(directory, settings, clusterId(), port, controllerPort, faultHandler());
        node.format(clusterId());
        return node.broker();
    }

    /** The text with a free port for every one that is 0. */
    private static String withFreePorts(String listeners) throws IOException {
        String numbered = listeners;
        while (numbered.matches(".*:0(,.*)?")) {
            numbered = numbered.replaceFirst(":0(?=,|$)", ":" + OttlaBroker.freePort());
        }
        return numbered;
    }

    @Override
    public ControllerServer controllerServer() {
        return node == null ? super.controllerServer() : node.controller();
    }
}
