//! The twenty requirements of the specification's §6, each with the tests that prove it.

mod bytes;
mod closed;
mod parsers;
mod surface;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The requirement, in the specification's words; the tests, as file and name.
type Row = (u32, &'static str, &'static [(&'static str, &'static str)]);

const TABLE: &[Row] = &[
    (
        1,
        "bytes shown = approved = sent",
        &[
            ("tests/it/requirements/bytes.rs", "reviewers_are_shown_and_the_upstream_gets_the_very_bytes_of_the_agent"),
            ("tests/it/requirements/bytes.rs", "of_a_hundred_flipped_bits_none_is_sent"),
            ("tests/it/attack/agent.rs", "arguments_of_every_form"),
            ("tests/it/attack/rows.rs", "arguments_changed_together_with_their_digest_do_not_run"),
            ("tests/it/review_decide.rs", "what_was_not_read_cannot_be_approved"),
        ],
    ),
    (
        2,
        "ambiguous JSON refused",
        &[
            ("tests/it/requirements/parsers.rs", "what_is_taken_is_read_alike_by_python_and_node"),
            ("src/call/json/corpus.rs", "refuses_what_is_not_strict_json_and_says_where"),
            ("tests/it/gateway/input.rs", "bodies_that_two_readers_could_read_differently"),
            ("tests/it/review_decide.rs", "a_document_that_reads_two_ways_can_only_be_rejected"),
        ],
    ),
    (
        3,
        "hidden characters visible, nothing truncated",
        &[
            ("src/explain/trickery/tests.rs", "every_sort_of_hidden_character_is_known"),
            ("src/review/view/text.rs", "what_hides_is_named"),
            ("src/review/view/text.rs", "nothing_is_lost"),
            ("src/review/view/fixtures/promises.rs", "no_line_of_a_text_can_pass_for_an_argument"),
            ("tests/it/requirements/surface.rs", "everything_that_an_agent_wrote_stands_before_the_buttons"),
        ],
    ),
    (
        4,
        "display derived from the call",
        &[
            ("tests/it/requirements/surface.rs", "what_an_agent_claims_is_marked_as_its_claim"),
            ("tests/it/gateway/pass.rs", "an_upstream_cannot_speak_in_placets_name"),
        ],
    ),
    (
        5,
        "scanners never decide",
        &[
            ("tests/it/real/mail.rs", "a_mailed_link_opens_the_call_and_decides_nothing"),
            ("tests/it/requirements/surface.rs", "whoever_clicks_everything_without_a_session_decides_nothing"),
            ("tests/it/review_surface.rs", "reading_changes_nothing"),
            ("tests/it/review_sign_in.rs", "opening_a_link_spends_nothing_and_its_code_spends_it_once"),
        ],
    ),
    (
        6,
        "only an authenticated, currently authorised human decides",
        &[
            (
                "tests/it/requirements/surface.rs",
                "who_is_no_reviewer_any_more_decides_nothing_from_the_page_that_is_open",
            ),
            ("tests/it/review_decide.rs", "who_is_disabled_while_reading_decides_nothing"),
            ("tests/it/review_decide.rs", "only_reviewers_of_the_group_see_and_decide"),
            ("tests/it/approvals.rs", "what_changed_since_the_approval_revokes_it"),
            ("tests/it/attack/people.rs", "a_person_is_neither_invented_nor_brought_back"),
            ("tests/it/attack/people.rs", "an_account_that_was_changed_may_do_nothing"),
        ],
    ),
    (
        7,
        "no self-approval",
        &[
            ("tests/it/approvals.rs", "the_owner_decides_only_where_that_is_configured"),
            ("tests/it/review_decide.rs", "a_single_person_may_be_allowed_to_decide_alone_and_every_page_says_so"),
        ],
    ),
    // Confirmation and a reason; signing in again, and passkeys, are not built yet.
    (
        8,
        "step-up for critical, bound to the digest",
        &[
            ("tests/it/review_decide.rs", "a_critical_call_takes_the_extra_step"),
            ("tests/it/approvals.rs", "who_may_not_decide_does_not"),
            ("tests/it/attack/database.rs", "an_api_token_cannot_make_a_critical_call_plain"),
        ],
    ),
    (
        9,
        "quorum snapshotted, one vote a person, rejection final",
        &[
            ("tests/it/requirements/closed.rs", "what_a_call_was_held_on_is_not_softened_by_a_later_policy"),
            ("tests/it/approvals.rs", "a_quorum_of_two_needs_two_people"),
            ("tests/it/approvals.rs", "a_rejected_call_never_runs_and_answers_the_same_call_for_ten_minutes"),
            ("tests/it/attack/database.rs", "terms_that_were_softened_before_the_vote_let_nobody_decide"),
            ("src/call/verdict.rs", "quorum_counts_people_not_votes"),
        ],
    ),
    (
        10,
        "one terminal outcome under races",
        &[
            ("tests/it/races/mod.rs", "ten_thousand_calls_come_to_one_outcome_each"),
            ("tests/it/approvals.rs", "two_reviewers_at_once_a_thousand_times_make_one_outcome"),
            ("tests/it/attack/agent.rs", "two_hundred_at_once_are_one_call_and_one_execution"),
        ],
    ),
    (
        11,
        "pending and execution expiry enforced in the write, to the millisecond",
        &[
            ("tests/it/races/deadline.rs", "a_verdict_counts_until_the_millisecond_before_the_deadline"),
            ("tests/it/races/deadline.rs", "an_approval_is_used_until_the_millisecond_before_its_own_deadline"),
            ("tests/it/races/deadline.rs", "a_claim_after_the_deadline_sends_nothing_whenever_the_release_began"),
            ("tests/it/races/deadline.rs", "who_comes_too_late_is_told_so"),
        ],
    ),
    (
        12,
        "everything fails closed",
        &[
            ("tests/it/requirements/closed.rs", "without_a_policy_or_with_a_broken_one_nothing_is_served"),
            (
                "tests/it/requirements/closed.rs",
                "a_policy_that_breaks_while_serving_changes_nothing_and_lets_nothing_through",
            ),
            ("tests/it/gateway/pass.rs", "what_cannot_be_logged_does_not_happen"),
            ("tests/it/attack/disk.rs", "an_approval_that_cannot_be_logged_is_none"),
            ("tests/it/attack/disk.rs", "what_cannot_be_claimed_is_not_sent"),
        ],
    ),
    (
        13,
        "at most once, outcome_unknown",
        &[
            ("tests/it/crash/driver.rs", "what_is_killed_at_any_point_comes_back_whole"),
            ("tests/it/approvals.rs", "a_call_that_was_being_released_at_a_crash_is_unknown_and_never_sent_again"),
            ("tests/it/attack/database.rs", "a_call_that_ran_is_not_made_to_run_again"),
            ("tests/it/attack/planted.rs", "a_call_whose_run_is_hidden_from_its_row_does_not_run_again"),
            ("tests/it/attack/planted.rs", "a_call_that_an_earlier_process_ran_does_not_run_again"),
            ("tests/it/crash/sick.rs", "a_claim_that_cannot_be_listed_sends_nothing_until_it_can_be"),
            ("tests/it/attack/upstream.rs", "whatever_it_answers_to_an_approved_call_it_gets_it_once"),
        ],
    ),
    (
        14,
        "acknowledged decisions survive power loss",
        &[
            ("tests/it/crash/power.rs", "a_power_cut_takes_nothing_that_was_acknowledged"),
            ("tests/it/crash/power.rs", "what_is_acknowledged_after_a_failed_sync_survives_a_power_cut"),
            ("tests/it/crash/power.rs", "without_full_syncs_a_power_cut_takes_what_was_acknowledged"),
            ("tests/it/crash/sick.rs", "what_was_refused_does_not_come_true_by_a_crash"),
            ("tests/it/attack/disk.rs", "what_is_acknowledged_is_there_and_what_is_refused_is_not"),
        ],
    ),
    (
        15,
        "decision, audit, outbox atomic",
        &[
            ("tests/it/crash/driver.rs", "what_fails_between_any_two_writes_leaves_nothing_behind"),
            ("tests/it/attack/disk.rs", "an_approval_that_cannot_be_logged_is_none"),
            ("tests/it/store_batch.rs", "what_is_answered_is_what_is_stored"),
        ],
    ),
    (
        16,
        "edit, truncation, reorder, rollback detected offline",
        &[
            ("tests/it/audit/attacks.rs", "the_eight_attacks_on_the_log"),
            ("tests/it/audit/attacks.rs", "a_changed_row_is_named"),
            ("tests/it/audit/attacks.rs", "an_entry_of_a_call_that_cannot_have_happened_is_named"),
            ("tests/it/log/start.rs", "a_database_put_back_and_grown_past_its_checkpoint_disagrees"),
            ("tests/it/attack/rows.rs", "a_row_put_back_does_not_revive_the_call"),
            ("tests/it/attack/people.rs", "what_was_ended_stays_ended_though_the_log_tells_nothing_of_it"),
        ],
    ),
    (
        17,
        "browser surface matrix on every route, generated from the router",
        &[
            ("tests/it/requirements/surface.rs", "every_route_keeps_its_promises_under_every_method"),
            ("tests/it/review_surface.rs", "every_answer_has_the_security_headers"),
            ("tests/it/review_surface.rs", "forms_from_elsewhere_change_nothing"),
            ("tests/it/review_live.rs", "it_opens_for_our_own_pages_and_for_tokens_only"),
        ],
    ),
    (
        18,
        "outbound safe; a failing notifier never loses or decides",
        &[
            ("tests/it/notify.rs", "an_hour_without_a_server_loses_nothing_and_ends_in_one_mail"),
            ("tests/it/notify.rs", "one_broken_notice_stops_no_other"),
            ("src/notify/message_tests.rs", "links_come_from_the_configured_url_alone"),
        ],
    ),
    (
        19,
        "clock jumps and restores never revive",
        &[
            ("tests/it/clock.rs", "whatever_is_done_to_the_clock_nothing_revives_ends_twice_or_runs_late"),
            ("tests/it/clock.rs", "after_a_jump_forward_and_back_fifteen_minutes_are_fifteen_minutes"),
            ("tests/it/restore.rs", "yesterdays_backup_runs_nothing_and_says_what_it_is"),
            ("tests/it/restore/spent.rs", "what_the_list_beside_the_database_knows_stays_so"),
            ("tests/it/restore.rs", "no_deadline_approves_a_call_from_a_copy"),
            ("tests/it/restore.rs", "that_a_call_comes_from_a_copy_cannot_be_taken_back_in_the_database"),
        ],
    ),
    // Bounds and numbers; there is no break-glass to control, which is as off as it can be.
    (
        20,
        "break-glass and fatigue controlled",
        &[
            ("tests/it/approvals.rs", "one_agent_cannot_flood_the_reviewers"),
            ("tests/it/gateway/hold.rs", "a_flood_does_not_reach_the_reviewers_and_coming_back_costs_no_quota"),
            ("tests/it/requirements/closed.rs", "decisions_and_how_long_they_took_are_counted"),
        ],
    ),
];

/// The names of the tests in a source, those that are skipped left out.
fn tests_of(source: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let (mut is_test, mut is_skipped) = (false, false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_skipped |= line.starts_with("#[ignore") || line.starts_with("#[cfg(");
        } else if let Some(name) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            if is_test && !is_skipped {
                found.insert(name.split(['(', '<']).next().unwrap().to_owned());
            }
            (is_test, is_skipped) = (false, false);
        } else if !line.starts_with("//") {
            (is_test, is_skipped) = (false, false);
        }
    }
    found
}

#[test]
fn every_requirement_has_tests_and_they_are_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let numbers: Vec<_> = TABLE.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    for (number, words, tests) in TABLE {
        assert!(!tests.is_empty(), "{number}, {words}, has no test");
        for (file, name) in *tests {
            let source =
                fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{number}: {file}: {error}"));
            assert!(tests_of(&source).contains(*name), "{number}: {file} has no test {name} that is run");
        }
    }
}

#[test]
fn a_test_that_is_missing_or_skipped_is_noticed() {
    let source = "#[test]\nfn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\nfn three() {}\n\
                  #[test]\n#[ignore]\nfn four() {}\n// #[test]\nfn five() {}\n";
    assert_eq!(tests_of(source), HashSet::from(["one".to_owned(), "two".to_owned()]));
}
