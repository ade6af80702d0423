/* The database, and the only door to SQLite: WAL, synchronous FULL, so that what was committed
   survives a power cut. One connection, one thread at a time; everything here may wait for the
   disk. */
#ifndef SERVER_STORE_DB_H
#define SERVER_STORE_DB_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text of one cell: a schema of many columns and levels. */
enum { DB_TEXT_MAX = 16 * 1024 * 1024 };

struct db;

/* Opens or makes the file and checks it. 0, ERR_IO (damaged, not a database, no WAL here),
 * ERR_NOMEM. */
int db_open(struct db **out, const char *path, struct err *err);
/* NULL is fine. */
void db_close(struct db *db);
/* True after an I/O error: what is on the disk is no longer known, and every write is refused until
   a restart has checked it. Thread: any. */
bool db_broken(const struct db *db);

/* Runs steps[user_version .. count - 1], each in its own transaction. ERR_CONFLICT: the file was
   written by a newer advectd. */
int db_migrate(struct db *db, const char *const *steps, size_t count, struct err *err);

/* Statements without parameters or rows. */
int db_exec(struct db *db, const char *sql, struct err *err);
/* BEGIN IMMEDIATE ... COMMIT. A failed commit has rolled back. */
int db_begin(struct db *db, struct err *err);
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);
/* Rows changed by the last INSERT, UPDATE or DELETE. */
int64_t db_changes(const struct db *db);

/* A statement, embedded by its user: db_prepare, db_bind_*, db_step until no row, db_finish. */
struct db_stmt {
    struct db *db;
    void *handle;
    int failed; /* first failure of a bind; db_step reports it */
};

/* sql: one statement with ? parameters, numbered from 1. After a failure db_finish is still fine.
 */
int db_prepare(struct db_stmt *stmt, struct db *db, const char *sql, struct err *err);
/* The text is copied; NULL binds NULL. */
void db_bind_text(struct db_stmt *stmt, int index, const char *text);
void db_bind_integer(struct db_stmt *stmt, int index, int64_t value);
void db_bind_null(struct db_stmt *stmt, int index);
/* *row (may be NULL): whether there is a row to read. 0, ERR_CONFLICT (a constraint), ERR_NO_SPACE,
   ERR_IO, ERR_TOO_LARGE, ERR_NOMEM, ERR_INTERNAL. */
int db_step(struct db_stmt *stmt, bool *row, struct err *err);
/* Columns count from 0. Text is borrowed until the next step; NULL for NULL. */
const char *db_text(const struct db_stmt *stmt, int column);
int64_t db_integer(const struct db_stmt *stmt, int column);
bool db_is_null(const struct db_stmt *stmt, int column);
/* Copies text into out: [size]; cut where it is longer, "" for NULL. */
void db_copy_text(const struct db_stmt *stmt, int column, char *out, size_t size);
void db_finish(struct db_stmt *stmt);

/* Of SQLite; static. Thread: any. */
const char *db_library_version(void);

#endif
