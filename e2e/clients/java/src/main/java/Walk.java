import com.fasterxml.jackson.databind.ObjectMapper;
import com.twilio.exception.ApiException;
import com.twilio.http.TwilioRestClient;
import com.twilio.rest.video.v1.Room;
import com.twilio.rest.video.v1.room.Participant;
import com.twilio.rest.video.v1.room.participant.Anonymize;
import com.twilio.rest.video.v1.room.participant.PublishedTrack;
import com.twilio.rest.video.v1.room.participant.SubscribeRules;
import com.twilio.rest.video.v1.room.participant.SubscribedTrack;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Supplier;

/** A walk over the REST API with the Java helper library; see clients.test.mjs. */
public class Walk {
    private static final Map<String, Object> SEEN = new TreeMap<>();

    /** Keeps what a call gives, or the code of its error. */
    private static void step(String what, Supplier<Object> call) {
        try {
            SEEN.put(what, call.get());
        } catch (ApiException error) {
            if (error.getCode() == null) {
                throw error;
            }
            SEEN.put(what, error.getCode());
        }
    }

    private static <T> List<Object> each(Iterable<T> rows, Function<T, Object> member) {
        List<Object> found = new ArrayList<>();
        rows.forEach(row -> found.add(member.apply(row)));
        return found;
    }

    public static void main(String[] args) throws Exception {
        String name = args[0];
        TwilioRestClient client = ToRotunda.client(
            System.getenv("ROTUNDA_URL"),
            System.getenv("ACCOUNT_SID"),
            System.getenv("API_KEY_SID"),
            System.getenv("API_KEY_SECRET"));
        String sid = Room.creator()
            .setUniqueName(name)
            .setEmptyRoomTimeout(1)
            .setVideoCodecs(List.of(Room.VideoCodec.VP8))
            .create(client)
            .getSid();
        System.out.println(sid);
        System.in.read();

        step("fetched", () -> Room.fetcher(name).fetch(client).getSid().equals(sid));
        step("listed", () -> each(Room.reader().setUniqueName(name).read(client), Room::getSid).size());
        step("paged", () -> each(Participant.reader(name).setPageSize(1L).read(client), Participant::getIdentity));
        step("participant", () -> Participant.fetcher(name, "ana").fetch(client).getStatus().toString());
        step("published", () -> each(PublishedTrack.reader(name, "ana").setPageSize(1L).read(client), track -> track.getKind().toString()));
        step("named", () -> {
            String track = PublishedTrack.reader(name, "ana").read(client).iterator().next().getName();
            return PublishedTrack.fetcher(name, "ana", track).fetch(client).getKind().toString();
        });
        step("subscribed", () -> each(SubscribedTrack.reader(name, "ana").setPageSize(1L).read(client), track -> track.getKind().toString()));
        step("rules", () -> each(SubscribeRules.fetcher(name, "ana").fetch(client).getRules(), rule -> rule.getType().toString()));
        // The library sends an object as its toString(): JSON has to be given as text.
        step("replaced", () -> each(
            SubscribeRules.updater(name, "ana").setRules("[{\"type\":\"exclude\",\"all\":true}]").update(client).getRules(),
            rule -> rule.getType().toString()));
        String ben = Participant.fetcher(name, "ben").fetch(client).getSid();
        step("disconnected", () -> Participant.updater(name, "ben").setStatus(Participant.Status.DISCONNECTED).update(client).getStatus().toString());
        step("anonymized", () -> Anonymize.updater(name, ben).update(client).getIdentity().equals(ben));
        step("completed", () -> Room.updater(name, Room.RoomStatus.COMPLETED).update(client).getStatus().toString());
        step("afterwards", () -> each(Participant.reader(sid).setPageSize(1L).read(client), Participant::getSid).size());
        step("gone", () -> Room.fetcher(name).fetch(client).getSid());
        System.out.println(new ObjectMapper().writeValueAsString(SEEN));
    }
}
