package kafka.server;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import kafka.utils.Logging;
import org.apache.kafka.common.DirectoryId;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.properties.MetaProperties;
import org.apache.kafka.metadata.properties.MetaPropertiesEnsemble;
import org.apache.kafka.metadata.properties.MetaPropertiesVersion;
import org.apache.kafka.server.ServerSocketFactory;
import org.apache.kafka.server.fault.FaultHandler;

/**
 * Starts Apache's broker for Apache's older tests, as it is done where Apache Kafka is tested. It stands before Apache's
 * class of this name on the class path.
 */
public final class KRaftQuorumImplementation extends OneNodeQuorum {
    public KRaftQuorumImplementation(
            ControllerServer controller, FaultHandlerFactory faultHandlerFactory, File metadataDir,
            CompletableFuture<Map<Integer, InetSocketAddress>> voters, String clusterId, Logging log,
            FaultHandler faultHandler) {
        super(controller, faultHandlerFactory, metadataDir, voters, clusterId, log, faultHandler);
    }

    @Override
    protected KafkaBroker newBroker(KafkaConfig config, Time time) throws IOException {
        CompletableFuture<Map<Integer, InetSocketAddress>> voters = controllerQuorumVotersFuture();
        return new BrokerServer(new SharedServer(config, identity(config), time, new Metrics(), voters,
            voters.join().values(), faultHandlerFactory(), ServerSocketFactory.INSTANCE));
    }

    /** Who owns the log directories: as they say themselves, else this node, which is then written into them. */
    private MetaPropertiesEnsemble identity(KafkaConfig config) throws IOException {
        MetaPropertiesEnsemble found = new MetaPropertiesEnsemble.Loader()
            .addLogDirs(config.logDirs())
            .addMetadataLogDir(config.metadataLogDir())
            .load();
        MetaPropertiesEnsemble.Copier copier = new MetaPropertiesEnsemble.Copier(found);
        for (String directory : found.emptyLogDirs()) {
            Files.createDirectories(Path.of(directory));
            copier.setLogDirProps(directory, new MetaProperties.Builder()
                .setVersion(MetaPropertiesVersion.V1)
                .setClusterId(clusterId())
                .setNodeId(config.nodeId())
                .setDirectoryId(DirectoryId.random())
                .build());
        }
        copier.writeLogDirChanges();
        return copier.copy();
    }
}
