// A class with threads, collections, files, and a null dereference that the JVM turns into an exception by way of SIGSEGV.
// compat: timeout=240
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

public class Hello {
    int field;

    public static void main(String[] args) throws Exception {
        System.out.println("hello from Java " + Runtime.version().feature());
        ExecutorService pool = Executors.newFixedThreadPool(3);
        List<Future<Integer>> results = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            final int n = i;
            results.add(pool.submit(() -> n * n));
        }
        int sum = 0;
        for (Future<Integer> r : results) sum += r.get();
        pool.shutdown();
        System.out.println(sum);
        try {
            Hello none = null;
            System.out.println(none.field);
        } catch (NullPointerException e) {
            System.out.println("null caught");
        }
        Path file = Files.createTempFile("hello", ".txt");
        Files.writeString(file, "line\n".repeat(100));
        System.out.println(Files.readAllLines(file).size());
        Files.delete(file);
        System.gc();
        System.exit(8);
    }
}
