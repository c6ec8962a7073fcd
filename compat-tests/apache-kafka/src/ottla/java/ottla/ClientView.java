package ottla;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FinalizedVersionRange;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.metadata.PartitionRecord;
import org.apache.kafka.common.metadata.RegisterBrokerRecord;
import org.apache.kafka.common.metadata.TopicRecord;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.image.MetadataDelta;
import org.apache.kafka.image.MetadataImage;
import org.apache.kafka.image.MetadataProvenance;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.metadata.MetadataCache;
import org.apache.kafka.server.common.KRaftVersion;

/** What an admin client learns from a broker, in the shape in which Apache's broker keeps it. */
final class ClientView {
    private static final int REQUEST_MS = 10_000;

    private static final Set<ConfigEntry.ConfigSource> CHANGED = Set.of(
        ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG,
        ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);

    private final int port;
    private final KRaftMetadataCache cache;
    private Admin admin;

    ClientView(int node, int port) {
        this.port = port;
        this.cache = new KRaftMetadataCache(node, () -> KRaftVersion.KRAFT_VERSION_0);
    }

    /** The topics and nodes as they are now; as they were last, if the broker does not answer. */
    synchronized MetadataCache metadata() {
        try {
            cache.setImage(image());
        } catch (ExecutionException | TimeoutException | KafkaException unanswered) {
            // A topic may have gone between two questions, and a broker may be down.
            return cache;
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        return cache;
    }

    synchronized boolean hasConsumerGroups() {
        try {
            Map<String, FinalizedVersionRange> features = admin().describeFeatures().featureMetadata()
                .get(REQUEST_MS, TimeUnit.MILLISECONDS).finalizedFeatures();
            FinalizedVersionRange version = features.get("group.version");
            return version != null && version.maxVersionLevel() >= 1;
        } catch (ExecutionException | TimeoutException | InterruptedException failure) {
            throw new KafkaException(failure);
        }
    }

    /** The broker's settings that were changed since it started. */
    synchronized Map<String, String> changedSettings(int node) {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node));
        try {
            Config config = admin().describeConfigs(List.of(resource)).all()
                .get(REQUEST_MS, TimeUnit.MILLISECONDS).get(resource);
            return config.entries().stream()
                .filter(entry -> CHANGED.contains(entry.source()) && entry.value() != null)
                .collect(Collectors.toMap(ConfigEntry::name, ConfigEntry::value));
        } catch (ExecutionException | TimeoutException unanswered) {
            return Map.of();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return Map.of();
        }
    }

    synchronized void close() {
        if (admin != null) {
            admin.close();
            admin = null;
        }
    }

    private Admin admin() {
        if (admin == null) {
            admin = Admin.create(Map.of(
                "bootstrap.servers", "localhost:" + port,
                "client.id", "ottla-view",
                "reconnect.backoff.max.ms", 50,
                "default.api.timeout.ms", REQUEST_MS,
                "request.timeout.ms", REQUEST_MS));
        }
        return admin;
    }

    private MetadataImage image() throws ExecutionException, InterruptedException, TimeoutException {
        MetadataDelta delta = new MetadataDelta.Builder().setImage(MetadataImage.EMPTY).build();
        for (Node node : admin().describeCluster().nodes().get(REQUEST_MS, TimeUnit.MILLISECONDS)) {
            delta.replay(registration(node));
        }
        Set<String> names = admin().listTopics(new ListTopicsOptions().listInternal(true)).names()
            .get(REQUEST_MS, TimeUnit.MILLISECONDS);
        List<TopicDescription> topics = new ArrayList<>(admin().describeTopics(names).allTopicNames()
            .get(REQUEST_MS, TimeUnit.MILLISECONDS).values());
        for (TopicDescription topic : topics) {
            delta.replay(new TopicRecord().setName(topic.name()).setTopicId(topic.topicId()));
            for (TopicPartitionInfo partition : topic.partitions()) {
                delta.replay(partition(topic, partition));
            }
        }
        return delta.apply(MetadataProvenance.EMPTY);
    }

    private static RegisterBrokerRecord registration(Node node) {
        RegisterBrokerRecord.BrokerEndpointCollection endpoints = new RegisterBrokerRecord.BrokerEndpointCollection();
        for (String listener : List.of("EXTERNAL", "PLAINTEXT")) {
            endpoints.add(new RegisterBrokerRecord.BrokerEndpoint()
                .setName(listener)
                .setHost(node.host())
                .setPort(node.port())
                .setSecurityProtocol(SecurityProtocol.PLAINTEXT.id));
        }
        return new RegisterBrokerRecord()
            .setBrokerId(node.id())
            .setEndPoints(endpoints)
            .setRack(node.rack())
            .setFenced(false);
    }

    private static PartitionRecord partition(TopicDescription topic, TopicPartitionInfo partition) {
        return new PartitionRecord()
            .setTopicId(topic.topicId())
            .setPartitionId(partition.partition())
            .setReplicas(ids(partition.replicas()))
            .setIsr(ids(partition.isr()))
            .setLeader(partition.leader() == null ? -1 : partition.leader().id())
            .setLeaderEpoch(0)
            .setPartitionEpoch(0);
    }

    private static List<Integer> ids(List<Node> nodes) {
        return nodes.stream().map(Node::id).toList();
    }
}
