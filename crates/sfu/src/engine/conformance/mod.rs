//! What every engine must do, whichever it is: one suite over the seam, with a real client at the other end.

#![allow(clippy::unwrap_used, clippy::panic)]

mod channels;
mod differential;
mod feedback;
mod forgery;
mod handshake;
mod media;
mod repair;
mod world;

/// Makes a module of tests for an engine: each function of the suite, called with its maker.
macro_rules! suite {
    ($($name:ident: $engines:expr => { $($file:ident::$test:ident,)* })*) => {
        $(mod $name {
            $(#[test]
            fn $test() {
                super::$file::$test(&$engines);
            })*
        })*
    };
}

macro_rules! suites {
    ($($name:ident: $engines:expr,)*) => {
        suite! {
            $($name: $engines => {
                handshake::both_roles_connect,
                handshake::another_certificate_is_refused,
                handshake::a_lost_flight_is_sent_again,
                handshake::a_good_bye_ends_it_either_way,
                handshake::timers_are_in_the_future,
                media::packets_go_both_ways,
                media::header_extensions_travel,
                media::handles_stay_over_a_renegotiation,
                media::a_stream_pauses_and_goes_on,
                media::an_ssrc_that_was_given_up_is_not_used_again,
                media::a_section_is_used_again_for_another_track,
                media::sequence_numbers_are_extended,
                media::a_stream_without_ssrc_is_found_by_its_mid,
                media::vp8_ids_are_replaced_in_place,
                media::padding_is_no_payload,
                media::a_stream_that_is_not_there_is_refused,
                repair::a_lost_packet_comes_again_on_rtx,
                repair::without_rtx_the_same_bytes_come_again,
                repair::a_packet_lost_on_the_way_in_is_asked_for,
                repair::retransmissions_are_bounded,
                repair::losses_are_repaired_soon,
                feedback::key_frames_are_asked_for_both_ways,
                feedback::the_publishers_clock_arrives,
                feedback::sender_reports_keep_the_capture_times,
                feedback::publishers_get_reports_and_transport_feedback,
                forgery::replayed_and_mutated_packets_are_ignored,
                forgery::undeclared_streams_are_told,
                channels::messages_go_both_ways,
                channels::channels_keep_their_reliability,
                channels::a_channel_closes_from_either_side,
                channels::large_messages_are_whole,
                channels::a_full_channel_tells_when_there_is_room,
                channels::a_channel_asked_for_early_opens_later,
            })*
        }
    };
}

suites! {
    rtc: crate::engine::RtcEngines::new().unwrap(),
    link: crate::engine::LinkEngines::new().unwrap(),
}

/// Where ours does better.
mod link_alone {
    use crate::engine::LinkEngines;

    #[test]
    fn packets_of_a_frame_are_made_equally_long() {
        super::media::packets_of_a_frame_are_made_equally_long(&LinkEngines::new().unwrap());
    }

    #[test]
    fn twenty_thousand_may_come_and_go() {
        super::media::twenty_thousand_may_come_and_go(&LinkEngines::new().unwrap());
    }

    #[test]
    fn nothing_is_repaired_over_a_change_of_the_path() {
        super::repair::nothing_is_repaired_over_a_change_of_the_path(&LinkEngines::new().unwrap());
    }

    #[test]
    fn replayed_reports_are_ignored() {
        super::forgery::replayed_reports_are_ignored(&LinkEngines::new().unwrap());
    }

    #[test]
    fn the_largest_and_the_empty_message_are_whole() {
        super::channels::the_largest_and_the_empty_message_are_whole(&LinkEngines::new().unwrap());
    }
}
