// Some of what a Java server does, for as many seconds as the argument says: collections, sorting, regular expressions,
// compression, hashes, files, exceptions, and garbage.
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.zip.Deflater;

public class Work {
  static final Pattern SEVENS = Pattern.compile("row \\d*7");
  static volatile int sink;

  static int fail(int depth) {
    if (depth == 0) throw new IllegalStateException("as the test wants it");
    return fail(depth - 1) + 1;
  }

  static void work(int round) throws Exception {
    Map<Integer, String> rows = new HashMap<>();
    for (int i = 0; i < 200; ++i) rows.put(i ^ round, "row " + i);
    List<Map.Entry<Integer, String>> sorted = new ArrayList<>(rows.entrySet());
    sorted.sort(Comparator.comparing(Map.Entry::getValue));
    StringBuilder text = new StringBuilder();
    for (Map.Entry<Integer, String> row : sorted)
      if (SEVENS.matcher(row.getValue()).find()) text.append(row);
    byte[] bytes = text.toString().repeat(20).getBytes(StandardCharsets.UTF_8);
    Deflater deflater = new Deflater();
    deflater.setInput(bytes);
    deflater.finish();
    byte[] packed = new byte[bytes.length + 64];
    int size = deflater.deflate(packed);
    deflater.end();
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(packed);
    Files.exists(Path.of("/proc/self/stat"));
    try {
      fail(round % 10);
    } catch (IllegalStateException error) {
      sink = error.getStackTrace().length + size + sum[0];
    }
  }

  public static void main(String[] arguments) throws Exception {
    long end = System.nanoTime() + (long) (Double.parseDouble(arguments[0]) * 1e9);
    Thread[] threads = new Thread[2];
    for (int t = 0; t < threads.length; ++t) {
      threads[t] = new Thread(() -> {
        try {
          for (int round = 0; System.nanoTime() < end; ++round) work(round);
        } catch (Exception error) {
          throw new RuntimeException(error);
        }
      });
      threads[t].start();
    }
    for (Thread thread : threads) thread.join();
  }
}
