package org.apache.kafka.common.test.junit;

import java.util.List;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import ottla.OneNodeCluster;

/**
 * Gives a test its cluster. It stands before Apache's class of this name on the class path, on Ottla and for the
 * baseline alike, and gives one node to a test that asks for several: see {@link OneNodeCluster}.
 */
public final class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private final String method;
    private final ClusterConfig asked;
    private final boolean combined;

    public RaftClusterInvocationContext(String method, ClusterConfig asked, boolean combined) {
        this.method = method;
        this.asked = asked;
        this.combined = combined;
    }

    @Override
    public String getDisplayName(int index) {
        String type = combined ? "Combined" : "Isolated";
        return "%s [%d] Type=Raft-%s, %s".formatted(method, index, type, String.join(",", asked.displayTags()));
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
        OneNodeCluster cluster = new OneNodeCluster(asked, combined);
        BeforeEachCallback prepare = context -> cluster.prepare();
        AfterTestExecutionCallback close = context -> cluster.close();
        return List.of(prepare, close, new ClusterInstanceParameterResolver(cluster));
    }
}
