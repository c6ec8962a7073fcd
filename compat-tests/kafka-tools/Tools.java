import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after another in one Java process, because starting one costs more than what most
 * tools do: their main methods are called as the java command would, with what they read and print in pipes.
 *
 * A request on stdin is a count of words and the words: a main class, what the tool reads, and its arguments. The answer
 * on stdout is its exit status and what it printed to each of its outputs.
 */
public final class Tools {
    public static void main(String[] arguments) throws Exception {
        DataInputStream requests = new DataInputStream(System.in);
        DataOutputStream answers = new DataOutputStream(System.out);
        while (true) {
            List<String> words = new ArrayList<>();
            try {
                for (int left = requests.readInt(); left > 0; left--) {
                    words.add(new String(requests.readNBytes(requests.readInt()), "UTF-8"));
                }
            } catch (EOFException end) {
                Runtime.getRuntime().halt(0);
            }
            Call call = new Call(words);
            call.run();
            answers.writeInt(call.status);
            write(answers, call.output);
            write(answers, call.errors);
            answers.flush();
        }
    }

    private static void write(DataOutputStream answers, ByteArrayOutputStream printed) throws IOException {
        answers.writeInt(printed.size());
        printed.writeTo(answers);
    }

    /** Ends a tool's thread where the process would have ended. */
    private static final class Exited extends Error {
        Exited() {
            super(null, null, false, false);
        }
    }

    /** One run of a tool. */
    private static final class Call {
        final ByteArrayOutputStream output = new ByteArrayOutputStream();
        final ByteArrayOutputStream errors = new ByteArrayOutputStream();
        private final List<String> words;
        private final List<Runnable> hooks = new ArrayList<>();
        private boolean exited;
        int status;

        Call(List<String> words) {
            this.words = words;
        }

        void run() throws InterruptedException {
            System.setIn(new ByteArrayInputStream(words.get(1).getBytes()));
            PrintStream out = new PrintStream(output, true);
            PrintStream err = new PrintStream(errors, true);
            System.setOut(out);
            System.setErr(err);
            Exit.setExitProcedure((status, message) -> exit(status));
            Exit.setHaltProcedure((status, message) -> exit(status));
            Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
            Thread main = new Thread(this::callMain, "main");
            main.start();
            main.join();
            hooks.forEach(Runnable::run);
            // What its threads still print is nobody's.
            System.setOut(new PrintStream(new ByteArrayOutputStream()));
            System.setErr(new PrintStream(new ByteArrayOutputStream()));
        }

        private void exit(int status) {
            if (!exited) {
                exited = true;
                this.status = status;
                // A tool that catches everything would tell of this end as of a failure.
                System.setOut(new PrintStream(new ByteArrayOutputStream()));
                System.setErr(new PrintStream(new ByteArrayOutputStream()));
            }
            throw new Exited();
        }

        private void callMain() {
            try {
                String[] arguments = words.subList(2, words.size()).toArray(new String[0]);
                Class.forName(words.get(0)).getMethod("main", String[].class).invoke(null, (Object) arguments);
            } catch (InvocationTargetException thrown) {
                if (!exited) {
                    System.err.print("Exception in thread \"main\" ");
                    thrown.getCause().printStackTrace();
                    status = 1;
                }
            } catch (ReflectiveOperationException mistake) {
                throw new IllegalArgumentException(mistake);
            }
        }
    }
}
