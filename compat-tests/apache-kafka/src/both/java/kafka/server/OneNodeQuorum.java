package kafka.server;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import kafka.utils.Logging;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.fault.FaultHandler;
import scala.Option;

/**
 * What Apache's older tests, those of {@code QuorumTestHarness}, know of the cluster that they run on, whichever broker
 * it is made of.
 *
 * <p>A test of several brokers gets the first of them under every name, as {@link ottla.OneNodeCluster} cuts down the
 * newer tests' clusters.
 */
public abstract class OneNodeQuorum implements QuorumImplementation {
    private final ControllerServer controller;
    private final FaultHandlerFactory faultHandlerFactory;
    private final File metadataDir;
    private final CompletableFuture<Map<Integer, InetSocketAddress>> voters;
    private final String clusterId;
    private final Logging log;
    private final FaultHandler faultHandler;
    private KafkaBroker broker;
    private int firstId;

    protected OneNodeQuorum(
            ControllerServer controller, FaultHandlerFactory faultHandlerFactory, File metadataDir,
            CompletableFuture<Map<Integer, InetSocketAddress>> voters, String clusterId, Logging log,
            FaultHandler faultHandler) {
        this.controller = controller;
        this.faultHandlerFactory = faultHandlerFactory;
        this.metadataDir = metadataDir;
        this.voters = voters;
        this.clusterId = clusterId;
        this.log = log;
        this.faultHandler = faultHandler;
    }

    /** A broker that has not been started. */
    protected abstract KafkaBroker newBroker(KafkaConfig config, Time time) throws IOException, InterruptedException;

    @Override
    public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threads) {
        if (broker == null || config.nodeId() == firstId) {
            shutdownBroker();
            firstId = config.nodeId();
            try {
                broker = newBroker(config, time);
            } catch (IOException | InterruptedException failure) {
                throw new IllegalStateException(failure);
            }
        }
        if (startup) {
            broker.startup();
        }
        return broker;
    }

    @Override
    public void shutdown() {
        shutdownBroker();
        controller.shutdown();
    }

    private void shutdownBroker() {
        if (broker != null) {
            broker.shutdown();
        }
    }

    public ControllerServer controllerServer() {
        return controller;
    }

    public FaultHandlerFactory faultHandlerFactory() {
        return faultHandlerFactory;
    }

    public File metadataDir() {
        return metadataDir;
    }

    public CompletableFuture<Map<Integer, InetSocketAddress>> controllerQuorumVotersFuture() {
        return voters;
    }

    public String clusterId() {
        return clusterId;
    }

    public Logging log() {
        return log;
    }

    public FaultHandler faultHandler() {
        return faultHandler;
    }
}
