/* Shared by store*.c only. */
#ifndef SERVER_STORE_STORE_INTERNAL_H
#define SERVER_STORE_STORE_INTERNAL_H

#include "server/store/store.h"

struct store {
    struct files files;
    struct db *db;
};

/* The file that `select` (by name) finds; "" when there is no row. file: [FILES_NAME]. */
int store_file_of(struct store *store, const char *select, const char *name, char *file,
                  struct err *err);
/* Commits, or rolls back when code is an error already. */
int store_end(struct store *store, int code, struct err *err);
/* Unlinks a file whose row was not committed; when a failed disk leaves that open, the next start
   decides, and until then the old file and the new one both stay. */
void store_withdraw(struct store *store, int dir, const char *file);

/* The row of `name` goes, in a transaction of its own. */
struct store_removal {
    const char *select;    /* file, by name */
    const char *remove;    /* by name */
    char file[FILES_NAME]; /* the file it had, now the caller's to unlink; "" for no row */
};
int store_remove_row(struct store *store, struct store_removal *removal, const char *name,
                     struct err *err);

/* A text of the row, copied; NULL for NULL. */
int store_copy_text(const struct db_stmt *stmt, int column, char **out, struct err *err);

#endif
