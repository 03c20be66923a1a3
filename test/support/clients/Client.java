// One POST with Java's own client, as people write it: it follows no redirect unless it is told to. It prints JSON: the
// status and the text of its answer. Usage: java Client.java URL [BODY KEY]

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;

public class Client {
  public static void main(String[] args) throws Exception {
    var url = URI.create(args[0]);
    // Every name under localhost means this machine, as RFC 6761 asks for and not every system does.
    var hosts = Files.createTempFile("hosts", "");
    Files.writeString(hosts, "127.0.0.1 " + url.getHost() + "\n");
    System.setProperty("jdk.net.hosts.file", hosts.toString());
    var body = HttpRequest.BodyPublishers.ofString(args.length > 1 ? args[1] : "question");
    var request = HttpRequest.newBuilder(url).POST(body);
    if (args.length > 2) request.header("Authorization", "Bearer " + args[2]);
    var answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
    Files.delete(hosts);
    var text = answer.body().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
    System.out.printf("{\"status\": %d, \"text\": \"%s\"}%n", answer.statusCode(), text);
  }
}
