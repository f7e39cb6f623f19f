//! The behaviours that every backend shows, each a function that fails by panicking.
//!
//! A backend's tests call [`conformance_tests!`](crate::conformance_tests) with how a fresh store is
//! made; each behaviour becomes a test of its own name. Nothing here knows of a kind of database.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::Arc;

pub use self::fixture::{ordinary_join, ordinary_room, ordinary_track};
use crate::{BoxFuture, Store};

pub mod accounts;
pub mod anonymize;
pub mod audit;
pub mod callbacks;
mod fixture;
pub mod pages;
pub mod participants;
pub mod restart;
pub mod retention;
pub mod rooms;
pub mod tracks;
pub mod writes;

/// Makes a store with nothing in it, for one behaviour alone.
pub type Fresh = fn() -> BoxFuture<'static, Arc<dyn Store>>;

/// Defines a test for each behaviour of the suite; takes a [`Fresh`].
#[macro_export]
macro_rules! conformance_tests {
    ($fresh:expr) => {
        $crate::conformance_tests! { $fresh;
            accounts {
                accounts_are_kept_in_order_and_replaced
                keys_belong_to_an_account
                a_secret_is_made_once
                the_check_passes
            }
            rooms {
                a_room_is_kept_as_it_was_created
                a_name_is_taken_while_its_room_is_in_progress
                names_of_other_accounts_are_free
                one_taken_name_fails_alone_among_concurrent_creations
                a_room_without_a_name_has_its_sid_as_name
                rooms_of_an_account_strictly_increase
                a_completed_room_tells_its_end
                another_account_sees_nothing
            }
            participants {
                a_stay_is_told_from_begin_to_end
                order_is_strict_though_clocks_are_not
                an_identity_is_live_once
                the_newer_of_an_identity_follows_in_one_batch
                ends_are_never_before_beginnings
                a_room_is_found_and_listed_at_once
            }
            anonymize {
                an_identity_is_erased_in_any_state
                a_completed_room_needs_no_owner
                callbacks_to_come_tell_the_sid
                rules_that_name_it_name_the_sid
            }
            tracks {
                published_tracks_are_those_of_now
                published_tracks_have_pages
                rules_are_kept_and_replaced
            }
            writes {
                a_failed_batch_leaves_nothing
                a_failed_batch_fails_alone
                an_older_epoch_is_fenced_off
                a_completed_room_takes_no_changes
                what_is_true_already_tells_nobody
                what_can_not_be_is_refused
                a_room_is_not_completed_around_somebody
                concurrent_rooms_are_all_kept
            }
            restart {
                rooms_are_restored_with_who_was_there
                an_empty_room_tells_since_when
                completed_rooms_are_not_taken_over
                one_room_is_taken_over_alone
                callbacks_keep_their_schedule
            }
            callbacks {
                callbacks_are_rendered_and_numbered_without_gaps
                a_room_without_an_address_calls_nobody
                of_each_room_only_the_first_is_leased
                a_lease_that_ran_out_is_due_again
                a_retry_waits_and_holds_the_rest_back
                giving_up_lets_the_next_go_ahead
                a_late_answer_changes_nothing
                an_attempt_that_is_told_again_counts_once
                the_limit_of_a_lease_holds
                receivers_have_their_turns_and_their_bounds
                one_exchange_records_and_leases
                what_was_given_up_is_delivered_again_in_its_order
                one_callback_is_delivered_again_however_it_stands
                callbacks_are_listed_with_their_attempts
            }
            audit {
                a_line_is_written_with_its_change_or_not_at_all
                lines_are_read_in_order
                lines_outlive_rooms_and_go_by_themselves
            }
            retention {
                old_rooms_go_with_all_that_is_theirs
                a_room_is_there_with_all_its_rows_or_not_at_all
                what_is_live_or_undelivered_stays
                events_go_and_their_room_stays
                done_callbacks_go_and_the_rest_goes_on
                a_list_goes_on_while_rows_go
            }
            pages {
                exact_multiples_end_without_a_next_page
                every_filter_of_participants_agrees_with_a_model
                every_filter_of_rooms_agrees_with_a_model
                extreme_bounds_are_answered
            }
        }
    };
    ($fresh:expr; $($module:ident { $($behaviour:ident)+ })+) => {
        $(mod $module {
            #[allow(unused_imports)]
            use super::*;

            $(#[test]
            fn $behaviour() {
                $crate::conformance::$module::$behaviour($fresh);
            })+
        })+
    };
}

/// Runs a behaviour on a fresh store and a runtime of its own.
fn with<F: Future<Output = ()>>(fresh: Fresh, behaviour: impl FnOnce(Arc<dyn Store>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { behaviour(fresh().await).await });
}
