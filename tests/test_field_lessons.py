"""The index of what failed in others' products in the field: for each lesson, the tests that hold ours to it."""

from __future__ import annotations

from typing import Final

import pytest

from tests.named_tests import named_tests

TILL: Final = "tests/edge/test_field_lessons.py::"
PEOPLE: Final = "tests/edge/test_people_reach_tills.py::"
TILL_KILLED: Final = (
    "tests/faults/test_killed_tills.py::"
    "test_a_till_killed_at_any_step_of_a_sale_has_sold_it_whole_or_gives_the_basket_back"
)
DAY: Final = "tests/end_to_end/test_till_in_a_terminal.py::test_a_shops_day_at_a_terminal_without_a_hub"
FILE: Final = "tests/edge/test_field_lessons_of_the_file.py::"
SYNC: Final = "tests/sync/test_field_lessons.py::"

AT_THE_TILL: Final = {
    "a retry posts nothing twice": (
        "tests/edge/test_tendering.py::test_a_key_pressed_twice_sells_once",
        "tests/edge/test_tendering.py::test_two_screens_with_one_attempt_sell_once",
        "tests/edge/test_account_payments.py::test_a_key_pressed_twice_pays_once",
        TILL + "test_the_same_sale_delivered_again_changes_nothing",
        "tests/hub/test_bad_input.py::test_the_same_batch_again_changes_nothing",
        "tests/hub/test_ingest.py::test_many_requests_with_the_same_entries_at_once_store_them_once",
        "tests/edge/test_replaying.py::test_replaying_again_after_a_kill_records_only_what_is_missing",
        TILL_KILLED,
    ),
    "a power cut takes no sale that was acknowledged": (
        "tests/edge/test_killed_tender.py::test_a_sale_killed_at_any_write_is_whole_or_was_never_made",
        TILL + "test_a_sale_is_synced_to_the_disk_before_it_is_acknowledged",
        TILL + "test_every_sale_that_was_acknowledged_is_there_after_a_kill",
        "tests/faults/test_power_cuts.py::test_no_cut_of_the_power_loses_what_was_acknowledged_and_the_control_does",
        (
            "tests/faults/test_killed_replays.py::"
            "test_a_replay_killed_at_any_write_keeps_every_acknowledged_sale_whole_and_sells_the_rest_once"
        ),
        TILL_KILLED,
    ),
    "nothing outside the node's own file can be cleared, and no verb clears it": (
        FILE + "test_a_node_is_its_directory_and_nothing_else",
        FILE + "test_no_verb_deletes_entries_but_pruning_and_the_giving_way_of_a_forked_branch",
    ),
    "a bad entry is parked by name and jams nothing": (
        (
            "tests/hub/test_bad_input.py::"
            "test_a_broken_entry_is_refused_by_name_kept_as_evidence_and_stops_no_other_stream"
        ),
        "tests/hub/test_bad_input.py::test_an_unknown_kind_is_stored_and_forwarded",
    ),
    "nothing is printed of a sale that is not on the disk, and no receipt is lost or doubled unseen": (
        "tests/edge/test_print_queue.py::test_a_sale_that_was_not_recorded_leaves_no_paper",
        "tests/edge/test_print_queue.py::test_no_sale_waits_for_paper",
        (
            "tests/edge/test_printing_killed.py::"
            "test_a_till_killed_at_any_moment_loses_no_receipt_and_prints_none_twice_unmarked"
        ),
    ),
    "the yen sign is the one that the printer's font has": (
        "tests/edge/test_receipt_paper.py::test_every_hanzi_and_the_yen_are_two_bytes_that_each_printer_has",
        "tests/drivers/test_paper.py::test_yen_is_the_full_width_sign_that_every_hanzi_font_has",
    ),
    "a till says how it stands with the hub by what got through": (
        "tests/edge/test_till_status.py::test_online_is_progress_and_not_the_absence_of_errors",
        "tests/edge/test_till_status.py::test_entries_wait_until_the_hub_has_them",
    ),
    "receipt numbers belong to one till": (
        TILL + "test_two_tills_of_a_shop_never_share_a_receipt_number",
        TILL + "test_a_restored_copy_opens_a_series_of_its_own",
        "tests/hub/test_enrolment.py::test_a_till_code_is_given_once_so_that_receipt_numbers_differ",
    ),
    "what arrives is what was sold": (TILL + "test_a_sale_is_held_elsewhere_in_the_very_bytes_that_the_till_wrote",),
    "a completed sale is posted, come what may": (
        "tests/edge/test_shift_reports.py::test_a_late_entry_amends_a_closed_shift_and_is_named",
        (
            "tests/edge/test_shift_reports.py::"
            "test_what_is_sold_after_the_close_amends_the_day_until_a_further_close_states_it"
        ),
        TILL + "test_a_completed_sale_is_never_refused_for_stock",
        FILE + "test_a_sale_into_a_shift_that_is_closed_is_posted_all_the_same",
        "tests/edge/test_shifts.py::test_without_an_open_shift_sales_go_on_and_cash_verbs_say_what_is_missing",
    ),
    "a node says how old what it knows is": (
        "tests/edge/test_cache.py::test_cache_ages_and_a_lapsed_lease_marks_sales_but_refuses_none",
    ),
    "a till starts cold without a network": (
        TILL + "test_a_cold_start_to_the_first_sale_needs_no_network",
        "tests/edge/test_signing_in.py::test_an_operator_signs_in_by_number_and_pin_without_any_network",
        PEOPLE + "test_a_till_that_has_just_joined_signs_its_people_in_with_the_hub_gone",
        DAY,
    ),
    "points, wallets and coupons are folds, and spending twice is found": (
        "tests/edge/test_tendering.py::test_a_single_use_coupon_is_used_once_here_and_counted_for_the_hub",
        "tests/edge/test_tendering.py::test_old_balances_are_spent_within_the_shops_limits_alone",
        PEOPLE + "test_each_till_shows_what_the_hub_holds_and_what_its_shop_did_since_and_nothing_twice",
        PEOPLE + "test_two_shops_that_spend_the_same_points_offline_agree_on_what_is_left",
        "tests/hub/test_findings.py::test_money_that_two_shops_spent_offline_is_found_with_both_entries",
        "tests/hub/test_findings.py::test_any_order_of_arrival_shows_the_same_findings_and_balances",
    ),
    "a large catalogue is searchable at once, whole, and follows each change": (
        "tests/edge/test_search.py::test_each_keystroke_is_answered_at_once_among_many_goods",
        "tests/edge/test_search.py::test_the_index_follows_every_change_of_the_catalogue",
        "tests/edge/test_doctor.py::test_a_search_index_that_does_not_fit_the_products_is_named_and_mended",
    ),
    "prices change by themselves, at their minute": (
        "tests/edge/test_basket.py::test_a_price_changes_at_its_minute_in_a_basket_that_stands_open",
        "tests/edge/test_basket.py::test_what_the_agent_stores_is_seen_at_the_next_pricing",
        "tests/schema/test_pricing.py::test_a_scheduled_price_takes_effect_at_its_millisecond",
        TILL + "test_a_late_price_change_never_rewrites_a_completed_sale",
    ),
    "a wrong clock spoils no order and stops no sale": (
        TILL + "test_a_clock_however_wrong_never_stops_a_sale",
        TILL + "test_a_clock_set_back_begins_an_epoch_and_sales_go_on",
    ),
    "the drawer, counting and receiving need no line": (
        "tests/end_to_end/test_buying.py::test_an_order_reaches_the_shop_and_what_came_of_it_the_desk",
        "tests/end_to_end/test_buying.py::test_goods_go_between_two_shops_by_paper_while_neither_has_a_network",
        ("tests/edge/test_shift_reports.py::test_an_x_report_has_every_figure_and_hides_what_the_drawer_should_hold"),
        "tests/edge/test_shift_reports.py::test_a_day_is_closed_once_its_shift_is_and_covers_what_was_traded",
        "tests/edge/test_lookup.py::test_a_look_up_tells_prices_of_all_units_what_comes_and_what_is_on_the_shelf",
        "tests/edge/test_shifts.py::test_a_shift_expects_its_float_and_its_cash",
        "tests/edge/test_counting.py::test_two_tills_count_one_session_zone_by_zone",
        (
            "tests/end_to_end/test_counting_in_two_terminals.py::"
            "test_two_people_count_two_zones_on_two_tills_without_a_hub"
        ),
        "tests/edge/test_stock.py::test_received_goods_are_on_hand_in_base_units",
        DAY,
    ),
}
IN_SYNC: Final = {
    "the cursor never runs ahead of the data": (
        SYNC + "test_what_a_replica_says_it_holds_and_the_entries_are_stored_in_one_transaction",
    ),
    "a peer that lost its data is not trusted to have it": (
        SYNC + "test_a_peer_that_lost_its_data_is_sent_all_of_it_again",
        (
            "tests/hub/test_ingest.py::"
            "test_a_hub_restored_from_an_older_copy_gets_back_what_it_lost_and_continues_as_a_new_incarnation"
        ),
        (
            "tests/edge/test_vans_visit_shops.py::"
            "test_a_hub_restored_from_an_older_copy_gets_back_through_a_van_what_it_had_lost"
        ),
    ),
    "a restored or cloned device forks nothing": (
        "tests/sync/test_branches.py::test_a_restored_copy_gets_its_own_entries_back_and_begins_anew",
        "tests/sync/test_branches.py::test_a_copy_finds_its_branch_whichever_is_longer_and_both_count",
        "tests/faults/test_short_forms.py::test_a_clone_or_an_older_copy_is_found_within_one_contact",
        "tests/edge/test_high_water.py::test_an_older_file_put_back_in_place_is_a_restored_copy",
    ),
    "relays pass on original bytes": (SYNC + "test_a_relay_passes_on_the_original_signed_bytes",),
    "concurrent movements add up": (TILL + "test_concurrent_sales_of_one_product_add_up",),
    "nothing is forgotten by time": (
        SYNC + "test_a_node_that_was_away_for_years_brings_its_sales_and_no_deleted_record_back",
    ),
    "drift stops no sync": (SYNC + "test_a_clock_that_is_years_off_stops_no_sync",),
    "a long backlog is cut and goes on where it broke": (
        SYNC + "test_a_long_backlog_goes_in_bounded_batches_and_goes_on_where_the_line_broke",
        "tests/hub/test_service.py::test_a_snapshot_that_broke_off_is_resumed_though_the_hub_moved_on",
    ),
    "many records are few conversations": (
        SYNC + "test_a_session_with_nothing_to_say_costs_one_round_trip_however_many_records_there_are",
    ),
    "a repair loses no local work": (
        FILE + "test_a_repair_refolds_and_keeps_entries_that_were_never_synced",
        "tests/edge/test_doctor.py::test_a_table_that_differs_is_named_and_mended_from_the_log",
    ),
    "a migration sends nothing to anybody": (FILE + "test_a_migration_rebuilds_tables_here_and_adds_no_entry",),
    "entries go only when others hold them safely": (
        "tests/edge/test_cache.py::test_node_without_balance_or_frontier_lets_nothing_go",
        "tests/edge/test_cache.py::test_frontier_that_a_till_forged_is_inert",
        "tests/hub/test_pruning.py::test_pruned_and_full_replicas_agree_whatever_arrives_afterwards",
    ),
    "everything drains once the line is whole": (
        "tests/simulation/test_simulation.py::test_everything_drains_in_few_rounds_after_the_faults_stop",
    ),
    "a malformed change harms neither library nor process": (
        "tests/sync/test_documents.py::test_a_panic_of_the_library_is_a_refusal_and_everything_else_is_kept",
        (
            "tests/sync/test_document_change.py::"
            "test_a_damaged_change_is_refused_or_still_the_one_canonical_form_and_never_harms_the_library"
        ),
    ),
}
IN_COUNTS: Final = {
    "a count says what it had seen": (
        (
            "tests/edge/test_counting.py::"
            "test_a_sale_before_the_count_on_a_till_that_had_not_synced_is_not_subtracted_again"
        ),
        "tests/edge/test_counting.py::test_a_late_sale_shrinks_the_variance_and_is_named_as_absorbed",
        (
            "tests/edge/test_count_lines.py::"
            "test_after_a_sale_a_recorded_line_is_counted_again_from_nothing_not_added_to"
        ),
    ),
    "two counts of one shelf both stay visible": (
        "tests/edge/test_resolving.py::test_two_blind_counts_that_differ_stay_visible_until_a_person_chooses",
    ),
    "what is late amends and rewrites nothing": (
        FILE + "test_a_late_sale_amends_the_figures_and_leaves_a_closed_shift_as_it_was",
    ),
}
LESSONS: Final = {**AT_THE_TILL, **IN_SYNC, **IN_COUNTS}


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_is_held_by_tests_that_exist(lesson: str) -> None:
    assert LESSONS[lesson]
    assert set(LESSONS[lesson]) <= named_tests()
