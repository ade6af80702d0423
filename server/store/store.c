/* Opening: lock, database, tables, then both sides are brought into line. A crash between a file
   and its row leaves a file nobody knows (removed here); a row without a file means that somebody
   took the file away (the row is removed, and said). */
#include "server/store/store.h"

#include "core/base/mem.h"
#include "server/log.h"
#include "server/store/store_internal.h"
#include "server/store/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A table whose rows own files in a folder. */
struct kind {
    const char *noun;
    const char *list;   /* file, name; in order of files */
    const char *forget; /* by name */
    int dir;
};

static int remove_unknown(const struct kind *kind, char *const *known, size_t known_count,
                          const struct files_list *present, struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < present->count; i++) {
        const char *name = present->names[i];
        while (at < known_count && strcmp(known[at], name) < 0)
            at++;
        if (at < known_count && strcmp(known[at], name) == 0)
            continue;
        int code = files_remove(kind->dir, name, err);
        if (code)
            return code;
        log_message(LOG_WARN, "file_removed", "an unfinished %s file", kind->noun);
    }
    return 0;
}

static int compare_texts(const void *key, const void *element)
{
    return strcmp(key, *(char *const *)element);
}

static bool is_present(const struct files_list *present, const char *file)
{
    return present->count > 0 && bsearch(file, present->names, present->count,
                                         sizeof *present->names, compare_texts) != NULL;
}

static int delete_row(struct db *db, const char *remove, const char *name, struct err *err)
{
    struct db_stmt stmt;
    int code = db_prepare(&stmt, db, remove, err);
    if (!code) {
        db_bind_text(&stmt, 1, name);
        code = db_step(&stmt, NULL, err);
    }
    db_finish(&stmt);
    return code;
}

static int forget(struct db *db, const struct kind *kind, const char *name, struct err *err)
{
    int code = delete_row(db, kind->forget, name, err);
    if (!code)
        log_message(LOG_ERROR, "file_missing",
                    "the file of %s %s is gone; it was taken off the list", kind->noun, name);
    return code;
}

/* Rows whose file is there, by file name; the names of the others. */
struct split {
    struct files_list known;
    struct files_list lost;
};

static int split_add(struct files_list *list, const char *text)
{
    char **names = mem_realloc(list->names, list->count + 1, sizeof *names);
    if (!names)
        return ERR_NOMEM;
    list->names = names;
    names[list->count] = mem_strdup(text);
    return names[list->count] ? (list->count++, 0) : ERR_NOMEM;
}

static int split_rows(struct split *split, struct db *db, const struct kind *kind,
                      const struct files_list *present, struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    int code = db_prepare(&stmt, db, kind->list, err);
    while (!code && (code = db_step(&stmt, &row, err)) == 0 && row) {
        const char *file = db_text(&stmt, 0);
        const char *name = db_text(&stmt, 1);
        if (!file || !name)
            code = ERR_NOMEM;
        else if (is_present(present, file))
            code = split_add(&split->known, file);
        else
            code = split_add(&split->lost, name);
    }
    db_finish(&stmt);
    return code ? err_set(err, (enum err_code)code, "", "memory ran out") : 0;
}

static int reconcile(struct store *store, const struct kind *kind, struct err *err)
{
    struct split split = {0};
    struct files_list present;
    int code = files_list(kind->dir, &present, err);
    if (!code)
        code = split_rows(&split, store->db, kind, &present, err);
    if (!code)
        code = remove_unknown(kind, split.known.names, split.known.count, &present, err);
    for (size_t i = 0; !code && i < split.lost.count; i++)
        code = forget(store->db, kind, split.lost.names[i], err);
    files_list_free(&split.known);
    files_list_free(&split.lost);
    files_list_free(&present);
    return code;
}

static int open_database(struct store *store, struct err *err)
{
    size_t size = strlen(store->files.path) + sizeof "/advectd.db";
    char *path = mem_alloc(size, 1);
    if (!path)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    snprintf(path, size, "%s/advectd.db", store->files.path);
    int code = db_open(&store->db, path, err);
    mem_free(path);
    if (!code)
        code = db_migrate(store->db, tables_steps, tables_step_count, err);
    return code ? code : files_sync(store->files.root, err);
}

static int open_parts(struct store *store, const char *data_dir, struct err *err)
{
    int code = files_open(&store->files, data_dir, err);
    if (code)
        return code;
    code = open_database(store, err);
    const struct kind kinds[] = {
        {"dataset", "SELECT file, name FROM datasets ORDER BY file",
         "DELETE FROM datasets WHERE name = ?", store->files.datasets},
        {"model", "SELECT file, name FROM models ORDER BY file",
         "DELETE FROM models WHERE name = ?", store->files.models},
    };
    for (size_t i = 0; !code && i < sizeof kinds / sizeof *kinds; i++)
        code = reconcile(store, &kinds[i], err);
    if (code) {
        db_close(store->db);
        files_close(&store->files);
    }
    return code;
}

int store_open(struct store **out, const char *data_dir, struct err *err)
{
    struct store *store = mem_zalloc(1, sizeof *store);
    if (!store)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    int code = open_parts(store, data_dir, err);
    if (code)
        mem_free(store);
    else
        *out = store;
    return code;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    db_close(store->db);
    files_close(&store->files);
    mem_free(store);
}

bool store_degraded(const struct store *store)
{
    return db_broken(store->db);
}

struct db *store_db(struct store *store)
{
    return store->db;
}

const struct files *store_files(const struct store *store)
{
    return &store->files;
}

int store_file_of(struct store *store, const char *select, const char *name, char *file,
                  struct err *err)
{
    struct db_stmt stmt;
    bool row = false;
    file[0] = '\0';
    int code = db_prepare(&stmt, store->db, select, err);
    if (!code) {
        db_bind_text(&stmt, 1, name);
        code = db_step(&stmt, &row, err);
    }
    if (!code && row)
        db_copy_text(&stmt, 0, file, FILES_NAME);
    db_finish(&stmt);
    return code;
}

int store_end(struct store *store, int code, struct err *err)
{
    if (!code)
        return db_commit(store->db, err);
    db_rollback(store->db);
    return code;
}

void store_withdraw(struct store *store, int dir, const char *file)
{
    if (!db_broken(store->db))
        files_remove(dir, file, NULL);
}

int store_remove_row(struct store *store, struct store_removal *removal, const char *name,
                     struct err *err)
{
    int code = db_begin(store->db, err);
    if (code)
        return code;
    code = store_file_of(store, removal->select, name, removal->file, err);
    if (!code)
        code = delete_row(store->db, removal->remove, name, err);
    return store_end(store, code, err);
}

int store_copy_text(const struct db_stmt *stmt, int column, char **out, struct err *err)
{
    *out = NULL;
    if (db_is_null(stmt, column))
        return 0;
    const char *text = db_text(stmt, column);
    *out = text ? mem_strdup(text) : NULL;
    return *out ? 0 : err_set(err, ERR_NOMEM, "", "memory ran out");
}
