import java.util.stream.IntStream;

/** Primes by trial division on all CPUs, by a parallel stream. */
public class Compute {
    static boolean prime(int n) {
        for (int d = 2; d * d <= n; d++) {
            if (n % d == 0) {
                return false;
            }
        }
        return n > 1;
    }

    static long all(int limit) {
        return IntStream.range(0, limit).parallel().filter(Compute::prime).count();
    }

    public static void main(String[] args) {
        boolean quick = args.length > 0 && args[0].equals("--quick");
        int limit = quick ? 5000 : 300000;
        all(limit / 2); // lets the compiler see it
        for (int i = 0; i < (quick ? 1 : 3); i++) {
            long start = System.nanoTime();
            all(limit);
            System.out.println("bench Java,primes 1 " + (System.nanoTime() - start) + " 0");
        }
        System.out.println("bench-end");
    }
}
