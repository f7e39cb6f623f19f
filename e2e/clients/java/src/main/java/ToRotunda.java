// docs/clients.md
import com.twilio.http.NetworkHttpClient;
import com.twilio.http.Request;
import com.twilio.http.Response;
import com.twilio.http.TwilioRestClient;

/** Sends what the library has for the vendor's host to your server. */
class ToRotunda extends NetworkHttpClient {
    private final String server;

    ToRotunda(String server) {
        this.server = server;
    }

    @Override
    public Response makeRequest(Request request) {
        String url = request.getUrl().replaceFirst("^https?://[^/]+", server);
        Request moved = new Request(request.getMethod(), url);
        moved.setAuth(request.getUsername(), request.getPassword());
        moved.setContentType(request.getContentType());
        request.getHeaderParams().forEach((name, values) -> values.forEach(value -> moved.addHeaderParam(name, value)));
        request.getQueryParams().forEach((name, values) -> values.forEach(value -> moved.addQueryParam(name, value)));
        request.getPostParams().forEach((name, values) -> values.forEach(value -> moved.addPostParam(name, value)));
        return super.makeRequest(moved);
    }

    static TwilioRestClient client(String server, String accountSid, String keySid, String keySecret) {
        return new TwilioRestClient.Builder(keySid, keySecret)
            .accountSid(accountSid)
            .httpClient(new ToRotunda(server))
            .build();
    }
}
// end
