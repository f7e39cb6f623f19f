//! Bounds on everything that a client, or a stranger, can make grow, and what happens at each.

use std::time::Duration;

/// Largest datagram looked at, bytes; larger ones are dropped. Above any MTU that WebRTC uses, and
/// below the engine's packet buffer of 2000 bytes with room for headers.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 1700;

/// Messages taken by one receive call: a datagram each, or up to 64 that the kernel joined. More would make the first wait
/// for the last.
pub(crate) const RECEIVE_BATCH_MAX: usize = 32;

/// Messages handed over by one send call: a datagram each, or up to 64 of one size to one client.
pub(crate) const SEND_BATCH_MAX: usize = 64;

/// Datagrams that wait for the end of a turn before they are sent early. Bounds memory, not loss.
pub(crate) const SEND_QUEUE_MAX: usize = 512;

/// How long the beginning of a frame waits for the rest of it before it is sent. Once a turn at most, and less and less often
/// where it is in vain.
pub(crate) const FRAME_WAIT: Duration = Duration::from_micros(100);

/// What we ask of the kernel for the socket's buffers, bytes; it may give less.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// A smaller buffer for what comes in is said in the log: it holds some 400 full datagrams, which a busy port gets in 20 ms.
pub(crate) const SOCKET_BUFFER_ENOUGH_BYTES: usize = 1 << 20;

/// Remote addresses of one transport that passed a check; the one that was silent for longest goes.
pub(crate) const REMOTES_PER_TRANSPORT_MAX: usize = 8;

/// An address that sent no check for this long is forgotten (RFC 7675 consent lasts 30 s).
pub(crate) const REMOTE_IDLE_MAX: Duration = Duration::from_secs(30);

/// After a restart the old addresses may still deliver what is in flight, for this long.
pub(crate) const RESTART_GRACE: Duration = Duration::from_secs(3);

/// Silence of checks after which a transport is told to be interrupted. Browsers check every 2.5 s;
/// lower tells earlier and flaps on three lost checks.
pub(crate) const INTERRUPTED_AFTER: Duration = Duration::from_secs(8);

/// Transports whose DTLS is not up. At the bound the oldest of them is dropped.
pub(crate) const HANDSHAKES_MAX: usize = 2048;

/// How long a handshake may take from the first valid check; then the transport is lost.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(30);

/// DTLS datagrams handled between two rounds of media, so that a storm of joins does not stall it.
pub(crate) const HANDSHAKE_DATAGRAMS_PER_TURN: usize = 8;

/// DTLS datagrams that wait for their turn; at the bound the newest is dropped and sent again by
/// its client.
pub(crate) const HANDSHAKE_QUEUE_MAX: usize = 4096;

/// DTLS datagrams of one transport that wait for their turn; at the bound the newest is dropped, so
/// that one client does not take the queue from the others.
pub(crate) const HANDSHAKE_DATAGRAMS_PER_TRANSPORT: usize = 32;

/// ClientHellos kept of addresses that passed no check yet; at the bound the oldest is dropped.
pub(crate) const EARLY_HELLOS_MAX: usize = 64;

/// How long one is kept. Clients send theirs again after a second at the latest (RFC 6347 section
/// 4.2.4.1).
pub(crate) const EARLY_HELLO_TIME_MAX: Duration = Duration::from_secs(1);

/// Datagrams of one transport taken in a tick of 100 ms, checks aside; more are dropped unread. Ten
/// times what a publisher of three layers with a hundred viewers sends.
pub(crate) const DATAGRAMS_PER_TICK: u32 = 1000;

/// Bytes of RTCP of one transport taken in a tick of 100 ms; more is dropped unread. A viewer of a
/// hundred tracks at ten percent loss sends a fifth of it.
pub(crate) const RTCP_BYTES_PER_TICK: usize = 16 << 10;

/// Packets taken from clients and given to clients between two looks at the socket; more media waits. Some 10 ms of
/// work, in which no socket buffer fills up.
pub(crate) const PACKETS_PER_TURN: u64 = 1024;

/// Longest time of a turn's datagrams, but for the batch that is under way: what they cost is the senders' choice.
pub(crate) const TURN_TIME_MAX: Duration = Duration::from_millis(20);

/// Datagrams of sound, and as many of pictures, that wait for a later turn; at the bound the oldest is dropped.
pub(crate) const BACKLOG_MAX: usize = 2048;

/// Media that has waited for longer is dropped: it would come too late, and what is newer would come late too.
pub(crate) const BACKLOG_AGE_MAX: Duration = Duration::from_millis(500);

/// Media that waits for this long, or that is dropped, means that the worker is behind.
pub(crate) const BEHIND_AFTER: Duration = Duration::from_millis(100);

/// The worker counts as behind for this long after the last sign of it.
pub(crate) const CAUGHT_UP_AFTER: Duration = Duration::from_secs(2);

/// Commands carried out in a turn; the rest waits for the next: a room of a hundred that changes tells each of them.
pub(crate) const COMMANDS_PER_TURN: usize = 8;

/// SSRCs of one transport in sections whose description named none; packets of more are dropped.
pub(crate) const UNDECLARED_SSRCS_MAX: usize = 8;

/// Packets of one SRTP stream, in words of 64, of which it is known whether they were there: late ones up to so far
/// behind are opened, and sealed. RFC 3711 section 3.3.2 asks for 64 packets; video with retransmissions wants more.
pub(crate) const SRTP_WINDOW_WORDS: usize = 16;

/// The same of the RTCP of one sender.
pub(crate) const SRTCP_WINDOW_WORDS: usize = 2;

/// SSRCs of one client that are opened, and as many past ones that are remembered; more are not opened.
pub(crate) const OPENED_SSRCS_MAX: usize = 2048;

/// Senders of RTCP of one client whose replays are known; the one that was silent for longest goes.
pub(crate) const SRTCP_SSRCS_MAX: usize = 1024;

/// Packets of one stream that are missed; at the bound the oldest is missed no more.
pub(crate) const NACK_MISSING_MAX: usize = 256;

/// A gap of more packets is an outage: none of them is asked for.
pub(crate) const NACK_GAP_MAX: u64 = 256;

/// How often a packet is asked for.
pub(crate) const NACK_ASKS_MAX: u8 = 10;

/// How long a packet is missed: later it would be of no use.
pub(crate) const NACK_AGE_MAX: Duration = Duration::from_secs(1);

/// Arrivals that a client was not told of by transport-wide feedback; the oldest is left out.
pub(crate) const ARRIVALS_MAX: usize = 512;

/// Packets sent to a client of which it told nothing yet; the oldest is forgotten.
pub(crate) const SENT_PACKETS_MAX: usize = 2048;

/// Layers of one track; more are ignored.
pub(crate) const LAYERS_MAX: usize = 4;

/// How often it is chosen whose sound is sent in a crowd.
pub(crate) const LOUDEST_INTERVAL: Duration = Duration::from_millis(50);

/// Whoever was among the loudest is sent for so long after.
pub(crate) const LOUDEST_HOLD: Duration = Duration::from_secs(2);

/// Sound without packets for this long is silent.
pub(crate) const SOUND_SILENT_AFTER: Duration = Duration::from_millis(400);

/// A layer without packets for this long is not chosen any more.
pub(crate) const LAYER_SILENT_AFTER: Duration = Duration::from_millis(1000);

/// Silence after which the path counts as having been dark, and silence of checks after which another client may have
/// the address. Browsers check a live path every 2.5 s.
pub(crate) const CHECK_GAP: Duration = Duration::from_secs(4);

/// Silence of a client after which what was lost meanwhile is not repaired, and key frames are asked for, both ways. Clients that
/// send or receive media are heard several times a second; lower costs a key frame after a path's hiccup, too.
pub(crate) const OUTAGE: Duration = Duration::from_millis(1500);

/// Shortest time between two key-frame requests for one layer. Lower helps joiners, and costs the
/// publisher bits.
pub(crate) const KEYFRAME_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// The same for a subscriber that was out of reach when the last key frame came.
pub(crate) const KEYFRAME_INTERVAL_URGENT: Duration = Duration::from_millis(100);

/// So soon after a request for a key frame that it answered Chromium answers no other: 300 ms, and some for the way.
pub(crate) const KEYFRAME_IGNORED: Duration = Duration::from_millis(310);

/// Longest pause between repeated requests that nobody answered.
pub(crate) const KEYFRAME_INTERVAL_MAX: Duration = Duration::from_secs(4);

/// While the worker is behind, the pause after each request for a key frame, of whichever track, for each subscriber
/// that it goes to. Key frames of all then take a tenth of the processor.
pub(crate) const KEYFRAME_PAUSE_PER_SUBSCRIBER: Duration = Duration::from_millis(1);

/// Key frames that one subscriber may ask for of one track at once; more requests are left out.
pub(crate) const KEYFRAME_DEMANDS_MAX: u32 = 8;

/// After this long a subscriber may ask once more, so that one that always asks costs the publisher
/// a key frame every two seconds.
pub(crate) const KEYFRAME_DEMAND_INTERVAL: Duration = Duration::from_secs(2);

/// Retransmissions on RTX that each repairable packet sent to a client pays for. Two allow a loss of
/// two thirds; what is asked for beyond is left out.
pub(crate) const RTX_PER_PACKET: u32 = 2;

/// Retransmissions on RTX that a client may have saved up.
pub(crate) const RTX_SAVED_MAX: u32 = 1024;

/// Once all are used up, this many have to be saved before the next is sent.
pub(crate) const RTX_RESUME: u32 = 64;

/// Packets kept for retransmission on RTX, for each track sent.
pub(crate) const RTX_PACKETS_MAX: usize = 1024;

/// Their age.
pub(crate) const RTX_AGE_MAX: Duration = Duration::from_secs(2);

/// Sealed packets kept for each video track towards a client without RTX: some 1.5 s.
pub(crate) const RESEND_PACKETS_MAX: usize = 512;

/// Retransmissions of one packet to a client without RTX.
pub(crate) const RESENDS_PER_PACKET_MAX: u8 = 5;

/// Sealed packets queued for being sent again; more are ignored, the client asks again.
pub(crate) const RESEND_QUEUE_MAX: usize = 256;

/// Entries of one request for key frames (FIR) that are read.
pub(crate) const FIR_ENTRIES_MAX: usize = 64;

/// Data channels that one client may open; at the bound the newest is closed.
pub(crate) const CHANNELS_PER_TRANSPORT_MAX: usize = 256;

/// Channels over that bound that a client may try to open before its transport is lost. The SCTP library keeps
/// each until the client confirms its end, and looks at all of them for every message.
pub(crate) const CHANNELS_REFUSED_MAX: usize = 256;

/// Largest data-channel message, bytes; larger ones are dropped.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Bytes waiting on one channel towards a subscriber. At the bound an unreliable channel drops the
/// message and a reliable one is closed: its receiver could not be told the truth any more.
pub(crate) const CHANNEL_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Bytes waiting in the SCTP association of one client, all channels together.
pub(crate) const ASSOCIATION_BUFFER_BYTES_MAX: usize = 4 << 20;

const _: () = assert!(RTX_RESUME <= RTX_SAVED_MAX);
const _: () = assert!(HANDSHAKE_DATAGRAMS_PER_TRANSPORT < HANDSHAKE_QUEUE_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX <= CHANNEL_BUFFER_BYTES_MAX);
const _: () = assert!(CHANNEL_BUFFER_BYTES_MAX <= ASSOCIATION_BUFFER_BYTES_MAX);
const _: () = assert!(SEND_BATCH_MAX <= SEND_QUEUE_MAX);
const _: () = assert!(DATAGRAM_BYTES_MAX < 1900);
