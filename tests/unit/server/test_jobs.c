#include "core/base/mem.h"
#include "server/jobs/job_log.h"
#include "server/jobs/job_record.h"
#include "server/jobs/job_table.h"
#include "server/jobs/job_verdict.h"
#include "server/store/files.h"
#include "server/store/tables.h"
#include "server/train/job_dir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct job_record record;

static void set_up(void)
{
    job_record_init(&record);
    snprintf(record.id, sizeof record.id, "0123456789abcdef");
    snprintf(record.dataset, sizeof record.dataset, "iris");
    snprintf(record.model, sizeof record.model, "flowers");
    record.request = mem_strdup("{\"dataset\":\"iris\"}");
    record.created_ms = 1764034140123;
    record.progress.steps = 4000;
}

static void tear_down(void)
{
    job_record_release(&record);
}

static void add(struct job_log *log, const char *line)
{
    ck_assert_int_eq(job_log_add(log, line, strlen(line), 0), 0);
}

static struct job_exit exited(int64_t status)
{
    return (struct job_exit){.status = status};
}

START_TEST(a_job_on_its_turn_starts_unless_its_model_is_there)
{
    ck_assert_int_eq(job_verdict_turn(&record, false), VERDICT_START);
    ck_assert_int_eq(job_verdict_turn(&record, true), VERDICT_PUBLISH);
    record.stalls = JOB_STALLS - 1;
    ck_assert_int_eq(job_verdict_turn(&record, false), VERDICT_START);
}
END_TEST

START_TEST(a_job_that_never_saves_a_step_fails_in_the_end)
{
    record.stalls = JOB_STALLS;
    ck_assert_int_eq(job_verdict_turn(&record, false), VERDICT_FAIL_LOOP);
    ck_assert_int_eq(job_verdict_turn(&record, true), VERDICT_PUBLISH);
}
END_TEST

START_TEST(a_wish_to_cancel_wins_over_all_but_failure)
{
    record.cancelling = true;
    ck_assert_int_eq(job_verdict_turn(&record, true), VERDICT_CANCEL);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_STOPPED)), VERDICT_CANCEL);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_DONE)), VERDICT_CANCEL);
    ck_assert_int_eq(job_verdict_exit(&record, (struct job_exit){.signal = 9}), VERDICT_CANCEL);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_FAILED)), VERDICT_FAIL);
}
END_TEST

START_TEST(a_trainer_that_was_killed_or_crashed_is_started_again)
{
    ck_assert_int_eq(job_verdict_exit(&record, (struct job_exit){.signal = 9}), VERDICT_REQUEUE);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_STOPPED)), VERDICT_REQUEUE);
    ck_assert_int_eq(job_verdict_exit(&record, exited(134)), VERDICT_REQUEUE);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_FAILED)), VERDICT_FAIL);
    ck_assert_int_eq(job_verdict_exit(&record, exited(TRAINER_DONE)), VERDICT_PUBLISH);
}
END_TEST

START_TEST(names_of_states_are_found_again)
{
    for (unsigned i = 0; i < JOB_STATES; i++) {
        enum job_state state;
        ck_assert(job_record_state_find(job_record_state_name((enum job_state)i), &state));
        ck_assert_uint_eq(state, i);
    }
    enum job_state state;
    ck_assert(!job_record_state_find("done", &state));
    ck_assert(!job_record_ended(JOB_RUNNING));
    ck_assert(job_record_ended(JOB_CANCELLED));
}
END_TEST

static void apply(const char *text)
{
    struct json_doc *doc;
    ck_assert_int_eq(json_parse(&doc, text, strlen(text), 1 << 16, NULL), 0);
    job_record_apply(&record, json_root(doc));
    json_free(doc);
}

START_TEST(events_of_the_trainer_change_what_is_shown)
{
    apply("{\"event\":\"start\",\"step\":0,\"rows\":344,\"rows_dropped\":10}");
    apply("{\"event\":\"progress\",\"step\":7,\"loss\":0.5,\"validation_loss\":null,"
          "\"steps_per_second\":12.5}");
    ck_assert_uint_eq(record.progress.step, 7);
    ck_assert_double_eq(record.progress.train_loss, 0.5);
    ck_assert(isnan(record.progress.validation_loss));
    ck_assert_double_eq(record.facts[FACT_ROWS_DROPPED], 10);
    apply("{\"event\":\"progress\",\"step\":-1,\"loss\":\"low\"}");
    ck_assert_uint_eq(record.progress.step, 7);
    ck_assert_double_eq(record.progress.train_loss, 0.5);
}
END_TEST

START_TEST(a_job_is_shown_as_json_with_null_for_what_is_unknown)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    record.progress.train_loss = 0.25;
    job_record_write(&out, &record, true);
    buf_char(&out, '\0');
    ck_assert_str_eq(
        out.data,
        "{\"id\":\"0123456789abcdef\",\"state\":\"queued\",\"model\":\"flowers\","
        "\"dataset\":\"iris\",\"progress\":{\"step\":0,\"steps\":4000},\"train_loss\":0.25,"
        "\"validation_loss\":null,\"learning_rate\":null,\"steps_per_second\":null,"
        "\"remaining_seconds\":null,\"created\":\"2025-11-25T01:29:00.123Z\",\"started\":null,"
        "\"finished\":null,\"attempts\":0,\"error\":null,\"report\":{},"
        "\"request\":{\"dataset\":\"iris\"},\"events\":\"/jobs/0123456789abcdef/events\"}");
    buf_release(&out);
}
END_TEST

START_TEST(events_are_numbered_and_found_after_an_id)
{
    struct job_log log;
    struct buf out;
    job_log_init(&log);
    buf_init(&out, 1 << 16);
    add(&log, "{\"event\":\"state\",\"state\":\"queued\"}");
    add(&log, "{\"event\":\"progress\",\"step\":1}");
    ck_assert_uint_eq(log.last_id, 2);
    ck_assert_uint_eq(job_log_after(&log, 0), 0);
    ck_assert_uint_eq(job_log_after(&log, 1), 1);
    ck_assert_uint_eq(job_log_after(&log, 2), 2);
    ck_assert_uint_eq(job_log_after(&log, 99), 2);
    job_log_write(&out, &log.events[1], true);
    job_log_write(&out, &log.events[0], false);
    buf_char(&out, '\0');
    ck_assert_str_eq(
        out.data, "id: 2\nevent: progress\ndata: {\"id\":2,\"time\":\"1970-01-01T00:00:00.000Z\","
                  "\"event\":\"progress\",\"step\":1}\n\n"
                  "{\"id\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"state\","
                  "\"state\":\"queued\"}\n");
    buf_release(&out);
    job_log_release(&log);
}
END_TEST

START_TEST(a_line_that_is_no_event_is_refused)
{
    struct job_log log;
    job_log_init(&log);
    ck_assert_int_eq(job_log_add(&log, "", 0, 0), ERR_FORMAT);
    ck_assert_int_eq(job_log_add(&log, "{\"event\":\"", 10, 0), ERR_FORMAT);
    ck_assert_int_eq(job_log_add(&log, "{\"event\":\"x", 11, 0), ERR_FORMAT);
    ck_assert_int_eq(job_log_add(&log, "{\"step\":12345}", 14, 0), ERR_FORMAT);
    ck_assert_uint_eq(log.count, 0);
    job_log_release(&log);
}
END_TEST

START_TEST(a_full_log_leaves_out_small_steps_and_keeps_its_ends)
{
    struct job_log log;
    job_log_init(&log);
    add(&log, "{\"event\":\"start\"}");
    for (int i = 0; i < 5 * JOB_LOG_EVENTS; i++)
        add(&log, "{\"event\":\"progress\"}");
    add(&log, "{\"event\":\"state\"}");
    ck_assert_uint_le(log.count, JOB_LOG_EVENTS);
    ck_assert_uint_ge(log.count, JOB_LOG_EVENTS / 4);
    ck_assert_str_eq(log.events[0].type, "start");
    ck_assert_str_eq(log.events[log.count - 1].type, "state");
    ck_assert_uint_eq(log.last_id, 5 * JOB_LOG_EVENTS + 2);
    for (size_t i = 1; i < log.count; i++)
        ck_assert_uint_lt(log.events[i - 1].id, log.events[i].id);
    ck_assert(log.rewrite);
    job_log_release(&log);
}
END_TEST

START_TEST(a_log_of_large_steps_alone_is_bounded_too)
{
    struct job_log log;
    job_log_init(&log);
    for (int i = 0; i < 3 * JOB_LOG_EVENTS; i++)
        add(&log, "{\"event\":\"state\"}");
    ck_assert_uint_le(log.count, JOB_LOG_EVENTS);
    job_log_release(&log);
}
END_TEST

START_TEST(a_log_is_read_back_from_what_was_saved)
{
    struct job_log log, again;
    struct buf lines;
    bool rewrite;
    job_log_init(&log);
    job_log_init(&again);
    add(&log, "{\"event\":\"start\"}");
    add(&log, "{\"event\":\"checkpoint\",\"step\":3}");
    job_log_take_unsaved(&log, &lines, &rewrite);
    ck_assert(!rewrite);
    ck_assert_int_eq(job_log_read(&again, lines.data, lines.size), 0);
    ck_assert(!again.rewrite);
    ck_assert_uint_eq(again.count, 2);
    ck_assert_uint_eq(again.last_id, 2);
    ck_assert(again.events[1].minor);
    ck_assert_uint_eq(again.events[1].size, log.events[1].size);
    ck_assert_mem_eq(again.events[1].text, log.events[1].text, log.events[1].size);
    add(&again, "{\"event\":\"state\"}");
    ck_assert_uint_eq(again.last_id, 3);
    job_log_release(&again);

    /* Every torn end: whole lines are kept and the file is replaced by them. */
    for (size_t size = 1; size < lines.size; size++) {
        ck_assert_int_eq(job_log_read(&again, lines.data, size), 0);
        bool whole = lines.data[size - 1] == '\n';
        ck_assert(again.rewrite == !whole);
        ck_assert_uint_eq(again.count, whole || memchr(lines.data, '\n', size) ? 1 : 0);
        job_log_release(&again);
    }
    buf_release(&lines);
    job_log_release(&log);
}
END_TEST

START_TEST(a_log_survives_every_failed_allocation)
{
    for (size_t after = 0; after < 8; after++) {
        struct job_log log;
        job_log_init(&log);
        mem_fail_after(after);
        int code = job_log_add(&log, "{\"event\":\"start\"}", 17, 0);
        mem_fail_after(SIZE_MAX);
        ck_assert(code == 0 || code == ERR_NOMEM);
        ck_assert_uint_eq(log.count, code ? 0 : 1);
        job_log_release(&log);
    }
}
END_TEST

static char folder[64];
static struct db *db;

static void open_table(void)
{
    struct err err = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/db", folder);
    ck_assert_msg(db_open(&db, path, &err) == 0, "%s", err.message);
    ck_assert_int_eq(db_migrate(db, tables_steps, tables_step_count, &err), 0);
}

static void set_up_table(void)
{
    set_up();
    snprintf(folder, sizeof folder, "/tmp/test-jobs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_table();
}

static void tear_down_table(void)
{
    db_close(db);
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    files_remove_dir(parent, folder + 5, NULL);
    close(parent);
    tear_down();
}

static struct job_record loaded[3];
static size_t loaded_count;

static int keep(struct job_record *row, void *context, struct err *err)
{
    (void)context;
    (void)err;
    loaded[loaded_count++] = *row;
    return 0;
}

static void load(void)
{
    struct err err = {0};
    loaded_count = 0;
    ck_assert_msg(job_table_load(db, keep, NULL, &err) == 0, "%s", err.message);
}

static void forget(void)
{
    while (loaded_count > 0)
        job_record_release(&loaded[--loaded_count]);
}

START_TEST(a_row_comes_back_as_it_was)
{
    snprintf(record.key, sizeof record.key, "once");
    snprintf(record.body_hash, sizeof record.body_hash, "abc");
    record.progress.step = 12;
    record.progress.train_loss = 1.0 / 3;
    record.facts[FACT_ROWS] = 150;
    ck_assert_int_eq(job_table_insert(db, &record, NULL), 0);
    record.state = JOB_RUNNING;
    record.attempts = 2;
    record.stalls = 1;
    record.cancelling = true;
    record.started_ms = 5;
    record.error = mem_strdup("{}");
    ck_assert_int_eq(job_table_update(db, &record, JOB_QUEUED, NULL), 0);
    db_close(db);
    open_table();
    load();
    ck_assert_uint_eq(loaded_count, 1);
    const struct job_record *row = &loaded[0];
    ck_assert_str_eq(row->id, record.id);
    ck_assert_int_eq(row->state, JOB_RUNNING);
    ck_assert(row->cancelling);
    ck_assert_str_eq(row->key, "once");
    ck_assert_str_eq(row->body_hash, "abc");
    ck_assert_str_eq(row->request, record.request);
    ck_assert_str_eq(row->error, "{}");
    ck_assert_str_eq(row->dataset, "iris");
    ck_assert_str_eq(row->model, "flowers");
    ck_assert_uint_eq(row->attempts, 2);
    ck_assert_uint_eq(row->stalls, 1);
    ck_assert_uint_eq(row->progress.step, 12);
    ck_assert_uint_eq(row->progress.steps, 4000);
    ck_assert_double_eq(row->progress.train_loss, 1.0 / 3);
    ck_assert(isnan(row->progress.validation_loss));
    ck_assert_double_eq(row->facts[FACT_ROWS], 150);
    ck_assert(isnan(row->facts[FACT_SECONDS]));
    ck_assert(row->created_ms == record.created_ms && row->started_ms == 5);
    ck_assert(row->finished_ms == 0);
    forget();
}
END_TEST

START_TEST(a_change_from_another_state_is_refused)
{
    struct err err = {0};
    ck_assert_int_eq(job_table_insert(db, &record, NULL), 0);
    record.state = JOB_SUCCEEDED;
    ck_assert_int_eq(job_table_update(db, &record, JOB_RUNNING, &err), ERR_CONFLICT);
    load();
    ck_assert_int_eq(loaded[0].state, JOB_QUEUED);
    forget();
}
END_TEST

START_TEST(one_idempotency_key_makes_one_row)
{
    snprintf(record.key, sizeof record.key, "once");
    ck_assert_int_eq(job_table_insert(db, &record, NULL), 0);
    record.id[0] = 'f';
    ck_assert_int_eq(job_table_insert(db, &record, NULL), ERR_CONFLICT);
    record.key[0] = '\0';
    ck_assert_int_eq(job_table_insert(db, &record, NULL), 0);
    record.id[0] = 'e';
    ck_assert_int_eq(job_table_insert(db, &record, NULL), 0);
    load();
    ck_assert_uint_eq(loaded_count, 3);
    forget();
    ck_assert_int_eq(job_table_delete(db, record.id, NULL), 0);
    load();
    ck_assert_uint_eq(loaded_count, 2);
    forget();
}
END_TEST

START_TEST(a_file_of_a_job_is_replaced_whole_and_its_elder_kept)
{
    struct err err = {0};
    struct buf bytes = {.data = "one", .size = 3}, out;
    int dir;
    buf_init(&out, 100);
    ck_assert_int_eq(job_dir_open(&dir, folder, &err), 0);
    ck_assert_int_eq(job_dir_write(dir, "a", "b", &bytes, &err), 0);
    ck_assert(!job_dir_has(dir, "b"));
    bytes.data = "two";
    ck_assert_int_eq(job_dir_write(dir, "a", "b", &bytes, &err), 0);
    ck_assert_int_eq(job_dir_read(dir, "a", &out, &err), 0);
    ck_assert_int_eq(job_dir_read(dir, "b", &out, &err), 0);
    ck_assert_mem_eq(out.data, "twoone", 6);
    ck_assert(!job_dir_has(dir, "a.tmp"));
    ck_assert_int_eq(job_dir_read(dir, "c", &out, &err), ERR_NOT_FOUND);
    char hex[HASH_TEXT];
    ck_assert_int_eq(job_dir_hash(dir, "b", hex, &err), 0);
    ck_assert_str_eq(hex, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    buf_release(&out);
    close(dir);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("jobs");
    TCase *pure = tcase_create("pure");
    tcase_add_checked_fixture(pure, set_up, tear_down);
    tcase_add_test(pure, a_job_on_its_turn_starts_unless_its_model_is_there);
    tcase_add_test(pure, a_job_that_never_saves_a_step_fails_in_the_end);
    tcase_add_test(pure, a_wish_to_cancel_wins_over_all_but_failure);
    tcase_add_test(pure, a_trainer_that_was_killed_or_crashed_is_started_again);
    tcase_add_test(pure, names_of_states_are_found_again);
    tcase_add_test(pure, events_of_the_trainer_change_what_is_shown);
    tcase_add_test(pure, a_job_is_shown_as_json_with_null_for_what_is_unknown);
    tcase_add_test(pure, events_are_numbered_and_found_after_an_id);
    tcase_add_test(pure, a_line_that_is_no_event_is_refused);
    tcase_add_test(pure, a_full_log_leaves_out_small_steps_and_keeps_its_ends);
    tcase_add_test(pure, a_log_of_large_steps_alone_is_bounded_too);
    tcase_add_test(pure, a_log_is_read_back_from_what_was_saved);
    tcase_add_test(pure, a_log_survives_every_failed_allocation);
    suite_add_tcase(suite, pure);
    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(disk, set_up_table, tear_down_table);
    tcase_add_test(disk, a_row_comes_back_as_it_was);
    tcase_add_test(disk, a_change_from_another_state_is_refused);
    tcase_add_test(disk, one_idempotency_key_makes_one_row);
    tcase_add_test(disk, a_file_of_a_job_is_replaced_whole_and_its_elder_kept);
    suite_add_tcase(suite, disk);
    return suite;
}

int main(void)
{
    json_start();
    return unit_run(make_suite());
}
