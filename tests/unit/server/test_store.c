#include "server/store/store.h"

#include "core/base/mem.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static struct store *store;

static void open_store(void)
{
    struct err err = {0};
    ck_assert_msg(store_open(&store, dir, &err) == 0, "%s", err.message);
}

static void reopen(void)
{
    store_close(store);
    store = NULL;
    open_store();
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/test-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_store();
}

static void remove_tree(const char *path)
{
    DIR *stream = opendir(path);
    struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) < 0)
            remove_tree(child);
    }
    if (stream)
        closedir(stream);
    rmdir(path);
}

static void tear_down(void)
{
    store_close(store);
    store = NULL;
    remove_tree(dir);
}

static void make_tmp(char *tmp, const char *text)
{
    int fd;
    ck_assert_int_eq(files_create_tmp(store_files(store), tmp, &fd, NULL), 0);
    ck_assert_int_eq(files_write(fd, text, strlen(text), NULL), 0);
    ck_assert_int_eq(files_sync(fd, NULL), 0);
    close(fd);
}

static struct dataset_record dataset(const char *name)
{
    struct dataset_record record = {.format = DATASET_NPY, .rows = 3, .bytes = 5};
    snprintf(record.name, sizeof record.name, "%s", name);
    memset(record.sha256, 'a', HASH_TEXT - 1);
    record.schema = mem_strdup("{\"columns\":[]}");
    return record;
}

static bool put_dataset(const char *name, const char *text)
{
    char tmp[FILES_NAME];
    bool replaced = false;
    struct err err = {0};
    struct dataset_record record = dataset(name);
    make_tmp(tmp, text);
    ck_assert_msg(store_dataset_put(store, tmp, &record, &replaced, &err) == 0, "%s", err.message);
    store_dataset_release(&record);
    return replaced;
}

static bool put_model(const char *name, const char *sidecar, uint64_t version)
{
    char tmp[FILES_NAME];
    bool replaced = false;
    struct model_record record = {.bytes = 7};
    snprintf(record.name, sizeof record.name, "%s", name);
    memset(record.sha256, 'b', HASH_TEXT - 1);
    record.sidecar = sidecar ? mem_strdup(sidecar) : NULL;
    make_tmp(tmp, "weights");
    ck_assert_int_eq(store_model_put(store, tmp, &record, &replaced, NULL), 0);
    ck_assert_uint_eq(record.version, version);
    store_model_release(&record);
    return replaced;
}

static size_t count_files(int folder)
{
    struct files_list list;
    ck_assert_int_eq(files_list(folder, &list, NULL), 0);
    size_t count = list.count;
    files_list_free(&list);
    return count;
}

static void check_content(int folder, const char *file, const char *expected)
{
    int fd;
    uint64_t size;
    char text[64] = "";
    ck_assert_int_eq(files_open_read(folder, file, &fd, &size, NULL), 0);
    ck_assert_uint_eq(size, strlen(expected));
    ck_assert_int_eq(files_read(fd, 0, text, size, NULL), 0);
    close(fd);
    ck_assert_str_eq(text, expected);
}

START_TEST(directory_is_private_and_has_its_folders)
{
    static const char *const names[] = {"", "datasets", "models", "jobs", "tmp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 0777, 0700);
    }
    struct stat status;
    ck_assert_int_eq(fstatat(store_files(store)->root, "advectd.db", &status, 0), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
}
END_TEST

START_TEST(second_daemon_is_refused)
{
    struct store *second = NULL;
    struct err err = {0};
    ck_assert_int_eq(store_open(&second, dir, &err), ERR_CONFLICT);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(err.message, "another advectd"));
    reopen(); /* the refused one left the first one's lock alone */
}
END_TEST

START_TEST(dataset_is_there_after_a_restart)
{
    ck_assert(!put_dataset("moons", "1,2\n"));
    reopen();
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    ck_assert_uint_eq(record.rows, 3);
    ck_assert_uint_eq(record.bytes, 5);
    ck_assert_int_eq(record.format, DATASET_NPY);
    ck_assert_uint_eq(strlen(record.sha256), 64);
    ck_assert_int_gt(record.created_ms, 1500000000000);
    ck_assert_str_eq(record.schema, "{\"columns\":[]}");
    check_content(store_files(store)->datasets, record.file, "1,2\n");
    store_dataset_release(&record);
}
END_TEST

START_TEST(replacing_leaves_one_file_and_the_new_bytes)
{
    put_dataset("moons", "old");
    ck_assert(put_dataset("moons", "new"));
    ck_assert_uint_eq(count_files(store_files(store)->datasets), 1);
    ck_assert_uint_eq(count_files(store_files(store)->tmp), 0);
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    check_content(store_files(store)->datasets, record.file, "new");
    store_dataset_release(&record);
}
END_TEST

START_TEST(list_is_in_order_of_names)
{
    put_dataset("b", "1");
    put_dataset("a", "2");
    struct dataset_record *records;
    size_t count;
    ck_assert_int_eq(store_dataset_list(store, &records, &count, NULL), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(records[0].name, "a");
    ck_assert_str_eq(records[1].name, "b");
    mem_free(records);
}
END_TEST

START_TEST(removed_dataset_is_gone_with_its_file_but_a_job_keeps_its_link)
{
    put_dataset("moons", "1");
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    int jobs = store_files(store)->jobs;
    ck_assert_int_eq(store_dataset_link(store, &record, jobs, "data", NULL), 0);
    ck_assert_int_eq(store_dataset_link(store, &record, jobs, "data", NULL), ERR_CONFLICT);
    store_dataset_release(&record);
    ck_assert_int_eq(store_dataset_remove(store, "moons", NULL), 0);
    ck_assert_uint_eq(count_files(store_files(store)->datasets), 0);
    check_content(jobs, "data", "1");
    struct err err = {0};
    ck_assert_int_eq(store_dataset_remove(store, "moons", &err), ERR_NOT_FOUND);
    ck_assert_str_eq(err.message, "there is no dataset named moons");
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), ERR_NOT_FOUND);
}
END_TEST

START_TEST(model_versions_are_never_given_twice)
{
    ck_assert(!put_model("m", NULL, 1));
    ck_assert(put_model("m", "{}", 2));
    ck_assert_int_eq(store_model_remove(store, "m", NULL), 0);
    ck_assert_int_eq(store_model_remove(store, "m", NULL), ERR_NOT_FOUND);
    reopen();
    ck_assert(!put_model("m", NULL, 3));
    put_model("other", NULL, 1);
    ck_assert_uint_eq(count_files(store_files(store)->models), 2);
}
END_TEST

START_TEST(model_keeps_its_sidecar_and_its_error)
{
    struct model_record record;
    bool current = false;
    put_model("m", "{\"activation\":\"selu\"}", 1);
    ck_assert_int_eq(store_model_get(store, "m", &record, NULL), 0);
    ck_assert_str_eq(record.sidecar, "{\"activation\":\"selu\"}");
    ck_assert_ptr_null(record.error);
    ck_assert_int_eq(store_model_loaded(store, &record, "broken", &current, NULL), 0);
    ck_assert(current);
    struct model_record *list;
    size_t count;
    ck_assert_int_eq(store_model_list(store, &list, &count, NULL), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(list[0].error, "broken");
    store_model_list_free(list, count);
    put_model("m", NULL, 2);
    ck_assert_int_eq(store_model_loaded(store, &record, NULL, &current, NULL), 0);
    ck_assert(!current); /* version 1 was replaced while it was loaded */
    store_model_release(&record);
    ck_assert_int_eq(store_model_get(store, "m", &record, NULL), 0);
    ck_assert_ptr_null(record.error);
    ck_assert_ptr_null(record.sidecar);
    store_model_release(&record);
}
END_TEST

static int count_then_fail(struct db *db, void *context, struct err *err)
{
    ck_assert_int_eq(db_exec(db, "INSERT INTO model_versions VALUES ('witness', 1)", err), 0);
    return *(bool *)context ? err_set(err, ERR_CONFLICT, "", "the job was cancelled") : 0;
}

START_TEST(model_of_a_job_is_published_with_its_job_or_not_at_all)
{
    struct model_record record = {.name = "m", .bytes = 7};
    char tmp[FILES_NAME];
    bool fail = true;
    struct store_also also = {count_then_fail, &fail};
    make_tmp(tmp, "weights");
    int from = store_files(store)->tmp;
    struct err err = {0};
    ck_assert_int_eq(store_model_publish_file(store, from, tmp, &record, &also, &err),
                     ERR_CONFLICT);
    ck_assert_str_eq(err.message, "the job was cancelled");
    ck_assert_uint_eq(count_files(store_files(store)->models), 0);
    ck_assert_int_eq(store_model_get(store, "m", &record, NULL), ERR_NOT_FOUND);
    fail = false; /* the witness was rolled back, else it would collide now */
    record = (struct model_record){.name = "m", .bytes = 7};
    ck_assert_int_eq(store_model_publish_file(store, from, tmp, &record, &also, NULL), 0);
    ck_assert_uint_eq(record.version, 1);
    check_content(from, tmp, "weights");
    check_content(store_files(store)->models, record.file, "weights");
}
END_TEST

START_TEST(start_removes_files_without_a_row_and_rows_without_a_file)
{
    char tmp[FILES_NAME];
    struct dataset_record record;
    put_dataset("kept", "kept");
    put_dataset("lost", "lost");
    put_model("m", NULL, 1);
    ck_assert_int_eq(store_dataset_get(store, "lost", &record, NULL), 0);
    ck_assert_int_eq(files_remove(store_files(store)->datasets, record.file, NULL), 0);
    store_dataset_release(&record);
    make_tmp(tmp, "orphan");
    ck_assert_int_eq(
        files_publish(store_files(store)->tmp, tmp, store_files(store)->datasets, "orphan", NULL),
        0);
    make_tmp(tmp, "unfinished");
    reopen();
    ck_assert_uint_eq(count_files(store_files(store)->tmp), 0);
    ck_assert_uint_eq(count_files(store_files(store)->datasets), 1);
    ck_assert_uint_eq(count_files(store_files(store)->models), 1);
    ck_assert_int_eq(store_dataset_get(store, "lost", &record, NULL), ERR_NOT_FOUND);
    ck_assert_int_eq(store_dataset_get(store, "kept", &record, NULL), 0);
    check_content(store_files(store)->datasets, record.file, "kept");
    store_dataset_release(&record);
}
END_TEST

START_TEST(killed_process_keeps_what_it_committed)
{
    store_close(store);
    store = NULL;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        open_store();
        put_dataset("moons", "1,2\n");
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    open_store();
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    check_content(store_files(store)->datasets, record.file, "1,2\n");
    store_dataset_release(&record);
}
END_TEST

START_TEST(newer_and_damaged_databases_are_refused)
{
    struct err err = {0};
    ck_assert_int_eq(db_exec(store_db(store), "PRAGMA user_version = 1000", NULL), 0);
    store_close(store);
    store = NULL;
    ck_assert_int_eq(store_open(&store, dir, &err), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.message, "newer"));
    char path[128];
    snprintf(path, sizeof path, "%s/advectd.db", dir);
    int fd = open(path, O_WRONLY | O_TRUNC);
    ck_assert_int_eq(files_write(fd, "this is not a database at all....", 33, NULL), 0);
    close(fd);
    err = (struct err){0};
    ck_assert_int_eq(store_open(&store, dir, &err), ERR_IO);
    ck_assert_ptr_null(store);
}
END_TEST

START_TEST(links_and_other_things_are_not_opened_as_files)
{
    int fd;
    uint64_t size;
    int models = store_files(store)->models;
    ck_assert_int_eq(symlinkat("/etc/passwd", models, "link"), 0);
    ck_assert_int_eq(mkdirat(models, "folder", 0700), 0);
    ck_assert_int_eq(mkfifoat(models, "fifo", 0600), 0);
    ck_assert_int_eq(files_open_read(models, "link", &fd, &size, NULL), ERR_IO);
    ck_assert_int_eq(files_open_read(models, "folder", &fd, &size, NULL), ERR_IO);
    ck_assert_int_eq(files_open_read(models, "fifo", &fd, &size, NULL), ERR_IO);
    ck_assert_int_eq(files_open_read(models, "absent", &fd, &size, NULL), ERR_NOT_FOUND);
    ck_assert_int_eq(files_remove_dir(models, "folder", NULL), 0);
    ck_assert_int_eq(files_remove_dir(models, "folder", NULL), 0);
}
END_TEST

START_TEST(file_that_shrinks_is_an_error)
{
    char tmp[FILES_NAME];
    char text[8];
    int fd;
    uint64_t size;
    make_tmp(tmp, "1234");
    ck_assert_int_eq(files_open_read(store_files(store)->tmp, tmp, &fd, &size, NULL), 0);
    ck_assert_int_eq(files_read(fd, 2, text, 3, NULL), ERR_IO);
    close(fd);
}
END_TEST

START_TEST(statement_errors_have_codes)
{
    struct db *db = store_db(store);
    struct err err = {0};
    ck_assert_int_eq(db_exec(db, "SELEKT", &err), ERR_INTERNAL);
    ck_assert_int_eq(db_exec(db, "INSERT INTO model_versions VALUES ('a', 1)", NULL), 0);
    ck_assert_int_eq(db_exec(db, "INSERT INTO model_versions VALUES ('a', 1)", NULL), ERR_CONFLICT);
    ck_assert_int_eq(db_exec(db, "ATTACH '/tmp/x.db' AS x", NULL), ERR_INTERNAL);
    struct db_stmt stmt;
    ck_assert_int_eq(db_prepare(&stmt, db, "SELECT 1", NULL), 0);
    db_bind_integer(&stmt, 9, 1); /* there is no such parameter */
    ck_assert_int_eq(db_step(&stmt, NULL, NULL), ERR_INTERNAL);
    db_finish(&stmt);
    ck_assert(!store_degraded(store));
}
END_TEST

START_TEST(after_an_io_error_the_database_is_read_only)
{
    struct db *db = store_db(store);
    struct db_stmt stmt;
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    put_model("m", "{}", 1);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(db_exec(db, "INSERT INTO model_versions VALUES ('a', 1)", NULL), ERR_IO);
    ck_assert(store_degraded(store));
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(db_prepare(&stmt, db, "UPDATE model_versions SET version = 9", NULL),
                     ERR_UNAVAILABLE);
    db_finish(&stmt);
    ck_assert_int_eq(db_begin(db, NULL), ERR_UNAVAILABLE);
    struct model_record record;
    ck_assert_int_eq(store_model_get(store, "m", &record, NULL), 0);
    store_model_release(&record);
}
END_TEST

START_TEST(memory_that_runs_out_leaves_nothing_behind)
{
    put_dataset("moons", "1");
    put_model("m", "{}", 1);
    store_close(store);
    store = NULL;
    int code = ERR_NOMEM;
    for (size_t after = 0; code; after++) {
        struct err err = {0};
        mem_fail_after(after);
        code = store_open(&store, dir, &err);
        mem_fail_after(SIZE_MAX);
        ck_assert_msg(!code || code == ERR_NOMEM, "%s", err.message);
        ck_assert_uint_lt(after, 200);
    }
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    store_dataset_release(&record);
}
END_TEST

START_TEST(full_disk_is_said_and_keeps_what_was_there)
{
    store_close(store);
    store = NULL;
    if (mount("none", dir, "tmpfs", 0, "size=512k") < 0) {
        printf("skipped: a full disk cannot be made here: %s\n", strerror(errno));
        return;
    }
    open_store();
    put_dataset("moons", "1,2\n");
    char name[FILES_NAME];
    static char block[64 * 1024];
    int fd;
    struct err err = {0};
    ck_assert_int_eq(files_create_tmp(store_files(store), name, &fd, NULL), 0);
    int code = 0;
    for (int i = 0; i < 16 && !code; i++)
        code = files_write(fd, block, sizeof block, &err);
    ck_assert_int_eq(code, ERR_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(err.message, "full"));
    close(fd);
    struct dataset_record record;
    ck_assert_int_eq(store_dataset_get(store, "moons", &record, NULL), 0);
    store_dataset_release(&record);
    reopen();
    ck_assert(put_dataset("moons", "3,4\n"));
    store_close(store);
    store = NULL;
    umount(dir);
}
END_TEST

START_TEST(hash_is_sha256)
{
    struct hash hash;
    char text[HASH_TEXT];
    hash_init(&hash);
    hash_add(&hash, "a", 1);
    hash_add(&hash, "bc", 2);
    hash_text(&hash, text);
    ck_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *tcase = tcase_create("store");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, directory_is_private_and_has_its_folders);
    tcase_add_test(tcase, second_daemon_is_refused);
    tcase_add_test(tcase, dataset_is_there_after_a_restart);
    tcase_add_test(tcase, replacing_leaves_one_file_and_the_new_bytes);
    tcase_add_test(tcase, list_is_in_order_of_names);
    tcase_add_test(tcase, removed_dataset_is_gone_with_its_file_but_a_job_keeps_its_link);
    tcase_add_test(tcase, model_versions_are_never_given_twice);
    tcase_add_test(tcase, model_keeps_its_sidecar_and_its_error);
    tcase_add_test(tcase, model_of_a_job_is_published_with_its_job_or_not_at_all);
    tcase_add_test(tcase, start_removes_files_without_a_row_and_rows_without_a_file);
    tcase_add_test(tcase, killed_process_keeps_what_it_committed);
    tcase_add_test(tcase, newer_and_damaged_databases_are_refused);
    tcase_add_test(tcase, links_and_other_things_are_not_opened_as_files);
    tcase_add_test(tcase, file_that_shrinks_is_an_error);
    tcase_add_test(tcase, statement_errors_have_codes);
    tcase_add_test(tcase, after_an_io_error_the_database_is_read_only);
    tcase_add_test(tcase, memory_that_runs_out_leaves_nothing_behind);
    tcase_add_test(tcase, full_disk_is_said_and_keeps_what_was_there);
    tcase_add_test(tcase, hash_is_sha256);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return unit_run(make_suite());
}
