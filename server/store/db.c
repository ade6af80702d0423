#include "server/store/db.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct db {
    sqlite3 *handle;
    atomic_bool broken;
};

static enum err_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_UNAVAILABLE;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return ERR_IO;
    default:
        return ERR_INTERNAL;
    }
}

static int db_error(struct db *db, int result, struct err *err)
{
    enum err_code code = code_of(result);
    if (code == ERR_IO && sqlite3_system_errno(db->handle) == ENOSPC)
        code = ERR_NO_SPACE;
    if (code == ERR_IO)
        atomic_store(&db->broken, true);
    if (code == ERR_NO_SPACE)
        return err_set(err, code, "", "the disk of the data directory is full");
    return err_set(err, code, "", "database: %s", sqlite3_errstr(result));
}

/* The file is made here so that it, its WAL and its index are readable by the owner alone. */
static int create_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        char text[96];
        return err_set(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_IO, "",
                       "could not open the database: %s", strerror_r(errno, text, sizeof text));
    }
    close(fd);
    return 0;
}

static void set_limits(sqlite3 *handle)
{
    static const struct {
        int limit, value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, DB_TEXT_MAX + 64 * 1024},
        {SQLITE_LIMIT_SQL_LENGTH, 100 * 1024},
        {SQLITE_LIMIT_ATTACHED, 0},
    };
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},        {SQLITE_DBCONFIG_DQS_DML, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(handle, limits[i].limit, limits[i].value);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        sqlite3_db_config(handle, options[i].option, options[i].value, (int *)NULL);
}

/* Runs a pragma whose answer must be `expected`. */
static int expect(struct db *db, const char *sql, const char *expected, const char *complaint,
                  struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, db, sql, err);
    if (!code)
        code = db_step(&stmt, &row, err);
    const char *text = !code && row ? db_text(&stmt, 0) : NULL;
    if (!code && (!text || strcmp(text, expected) != 0))
        code = err_set(err, ERR_IO, "", "%s", complaint);
    db_finish(&stmt);
    return code;
}

static int configure(struct db *db, struct err *err)
{
    set_limits(db->handle);
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, 5000);
    int code = expect(db, "PRAGMA journal_mode = WAL", "wal",
                      "the data directory's file system cannot hold a database in WAL mode", err);
    if (!code)
        code = db_exec(db,
                       "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                       "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                       "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 4194304;",
                       err);
    if (!code)
        code = expect(db, "PRAGMA quick_check(1)", "ok", "the database is damaged", err);
    return code;
}

int db_open(struct db **out, const char *path, struct err *err)
{
    int code = create_file(path, err);
    if (code)
        return code;
    struct db *db = mem_zalloc(1, sizeof *db);
    if (!db)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    int result =
        sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    code = result == SQLITE_OK ? configure(db, err) : db_error(db, result, err);
    if (code) {
        db_close(db);
        return code;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    int result = sqlite3_close(db->handle);
    check(result == SQLITE_OK); /* else a statement was left unfinished */
    mem_free(db);
}

bool db_broken(const struct db *db)
{
    return atomic_load(&db->broken);
}

static int read_version(struct db *db, int64_t *version, struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, db, "PRAGMA user_version", err);
    if (!code)
        code = db_step(&stmt, &row, err);
    if (!code)
        *version = row ? db_integer(&stmt, 0) : 0;
    db_finish(&stmt);
    return code;
}

static int migrate_one(struct db *db, const char *sql, size_t version, struct err *err)
{
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %zu", version);
    int code = db_begin(db, err);
    if (code)
        return code;
    code = db_exec(db, sql, err);
    if (!code)
        code = db_exec(db, pragma, err);
    if (!code)
        return db_commit(db, err);
    db_rollback(db);
    return code;
}

int db_migrate(struct db *db, const char *const *steps, size_t count, struct err *err)
{
    int64_t version = 0;
    int code = read_version(db, &version, err);
    if (!code && (version < 0 || (uint64_t)version > count))
        code = err_set(err, ERR_CONFLICT, "",
                       "the data directory was written by a newer advectd (database version %lld, "
                       "this one knows %zu)",
                       (long long)version, count);
    for (size_t i = (size_t)version; !code && i < count; i++)
        code = migrate_one(db, steps[i], i + 1, err);
    return code;
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    int result = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : db_error(db, result, err);
}

/* After a failed fsync nobody knows what is on the disk: only opening it anew tells. */
static int check_writable(const struct db *db, struct err *err)
{
    if (!db_broken(db))
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "",
                   "the database had an I/O error; nothing is written until the daemon restarts");
}

int db_begin(struct db *db, struct err *err)
{
    int code = check_writable(db, err);
    return code ? code : db_exec(db, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *db, struct err *err)
{
    int code = db_exec(db, "COMMIT", err);
    if (code)
        db_rollback(db);
    return code;
}

void db_rollback(struct db *db)
{
    /* SQLite has rolled back by itself after some errors. */
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

int64_t db_changes(const struct db *db)
{
    return sqlite3_changes64(db->handle);
}

int db_prepare(struct db_stmt *stmt, struct db *db, const char *sql, struct err *err)
{
    sqlite3_stmt *handle = NULL;
    *stmt = (struct db_stmt){.db = db};
    int result = sqlite3_prepare_v2(db->handle, sql, -1, &handle, NULL);
    stmt->handle = handle;
    if (result != SQLITE_OK)
        return db_error(db, result, err);
    return sqlite3_stmt_readonly(handle) ? 0 : check_writable(db, err);
}

static void bound(struct db_stmt *stmt, int result)
{
    if (result != SQLITE_OK && !stmt->failed)
        stmt->failed = result;
}

void db_bind_text(struct db_stmt *stmt, int index, const char *text)
{
    bound(stmt, sqlite3_bind_text(stmt->handle, index, text, -1, SQLITE_TRANSIENT));
}

void db_bind_integer(struct db_stmt *stmt, int index, int64_t value)
{
    bound(stmt, sqlite3_bind_int64(stmt->handle, index, value));
}

void db_bind_null(struct db_stmt *stmt, int index)
{
    bound(stmt, sqlite3_bind_null(stmt->handle, index));
}

int db_step(struct db_stmt *stmt, bool *row, struct err *err)
{
    int result = stmt->failed ? stmt->failed : sqlite3_step(stmt->handle);
    if (row)
        *row = result == SQLITE_ROW;
    if (result == SQLITE_ROW || result == SQLITE_DONE)
        return 0;
    return db_error(stmt->db, result, err);
}

const char *db_text(const struct db_stmt *stmt, int column)
{
    return (const char *)sqlite3_column_text(stmt->handle, column);
}

int64_t db_integer(const struct db_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

bool db_is_null(const struct db_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->handle, column) == SQLITE_NULL;
}

void db_copy_text(const struct db_stmt *stmt, int column, char *out, size_t size)
{
    const char *text = db_text(stmt, column);
    snprintf(out, size, "%s", text ? text : "");
}

void db_finish(struct db_stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    stmt->handle = NULL;
}

const char *db_library_version(void)
{
    return sqlite3_libversion();
}
