/* What outlives the daemon: datasets, models and (server/jobs, over store_db) jobs. Files carry the
   bytes, SQLite carries what is known about them; a row is written only when its file is durable,
   and a file is removed only when its row is gone.

   Thread: every function here but store_open, store_close and store_degraded runs on the store
   courier's thread (server/courier.h), because it may wait for the disk. */
#ifndef SERVER_STORE_STORE_H
#define SERVER_STORE_STORE_H

#include "config/limits.h"
#include "core/base/err.h"
#include "server/store/db.h"
#include "server/store/files.h"
#include "server/store/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Before the loop runs. Makes the data directory, takes its lock, opens the database, removes files
   without a row and rows without a file (the log says so). 0; ERR_CONFLICT (a second daemon,
   or a newer one's database); ERR_IO, ERR_NO_SPACE, ERR_NOMEM. */
int store_open(struct store **out, const char *data_dir, struct err *err);
/* When nothing runs any more. NULL is fine. */
void store_close(struct store *store);
/* True after an I/O error of the database: writes are refused until a restart. Thread: any. */
bool store_degraded(const struct store *store);

struct db *store_db(struct store *store);
/* Descriptors that stay open as long as the store: reading through them is fine on any thread. */
const struct files *store_files(const struct store *store);

enum dataset_format { DATASET_CSV, DATASET_NPY };

struct dataset_record {
    char name[LIMIT_NAME + 1];
    char file[FILES_NAME]; /* in datasets/; given by the store */
    enum dataset_format format;
    uint64_t rows, bytes;
    char sha256[HASH_TEXT]; /* of the file */
    int64_t created_ms;     /* given by the store */
    char *schema;           /* JSON of schema_write; owned; NULL in lists */
};

/* "csv", "npy". */
const char *store_dataset_format_name(enum dataset_format format);
void store_dataset_release(struct dataset_record *record);
/* Publishes the synced file tmp/TMP under record->name; fills in file and created_ms. On failure
   the temp file may still stand and is the caller's to remove. 0; ERR_NO_SPACE, ERR_IO, ... */
int store_dataset_put(struct store *store, const char *tmp, struct dataset_record *record,
                      bool *replaced, struct err *err);
/* ERR_NOT_FOUND. */
int store_dataset_get(struct store *store, const char *name, struct dataset_record *out,
                      struct err *err);
int store_dataset_remove(struct store *store, const char *name, struct err *err);
/* In order of names; *out [count] owned by the caller (mem_free). */
int store_dataset_list(struct store *store, struct dataset_record **out, size_t *count,
                       struct err *err);
/* Gives the file a second name in a folder (a job's), so that it outlives the dataset. */
int store_dataset_link(struct store *store, const struct dataset_record *record, int dir,
                       const char *new_name, struct err *err);

struct model_record {
    char name[LIMIT_NAME + 1];
    char file[FILES_NAME]; /* in models/; given by the store */
    uint64_t version;      /* 1, 2, ... of that name, never reused; given by the store */
    uint64_t bytes;
    char sha256[HASH_TEXT]; /* of the file */
    int64_t created_ms;     /* given by the store */
    char *sidecar;          /* the JSON that came beside the file, or NULL; owned */
    char *error;            /* why it could not be loaded at the last start, or NULL; owned */
};

/* More to do inside the transaction that publishes a model: marks a job succeeded. An error of
   `run` rolls everything back. */
struct store_also {
    int (*run)(struct db *db, void *context, struct err *err);
    void *context;
};

void store_model_release(struct model_record *record);
/* Publishes the synced file tmp/TMP; fills in file, version and created_ms. As store_dataset_put.
 */
int store_model_put(struct store *store, const char *tmp, struct model_record *record,
                    bool *replaced, struct err *err);
/* Publishes the synced file NAME of the folder dir by a hard link (it stays where it is) and runs
   `also` (may be NULL) in the same transaction: after a crash either both are there or neither. */
int store_model_publish_file(struct store *store, int dir, const char *name,
                             struct model_record *record, const struct store_also *also,
                             struct err *err);
/* ERR_NOT_FOUND. */
int store_model_get(struct store *store, const char *name, struct model_record *out,
                    struct err *err);
int store_model_remove(struct store *store, const char *name, struct err *err);
/* In order of names; free with store_model_list_free. */
int store_model_list(struct store *store, struct model_record **out, size_t *count,
                     struct err *err);
void store_model_list_free(struct model_record *records, size_t count);
/* Remembers why that version does not load (NULL: it does). *current: whether it still is the model
   of that name. */
int store_model_loaded(struct store *store, const struct model_record *record, const char *error,
                       bool *current, struct err *err);

#endif
