/* Strict JSON: the only file that knows jansson. Reading: duplicate keys, trailing data, depth past
   LIMIT_JSON_DEPTH, NaN and bad UTF-8 are errors. Every error carries a JSON pointer. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before any thread starts. */
void json_start(void);

struct json_doc; /* an owned tree */

/* 0; ERR_INVALID_JSON ("line 1, column 7" as place), ERR_TOO_LARGE, ERR_NOMEM. */
int json_parse(struct json_doc **out, const char *text, size_t size, size_t limit, struct err *err);
void json_free(struct json_doc *doc);

/* A place in a tree: borrowed from its document. Pass by value. */
struct json {
    const void *node;    /* NULL: absent */
    char pointer[160];   /* "" for the root; "/solver/steps" */
};

struct json json_root(const struct json_doc *doc);
/* Absent where there is no such member or item; its pointer then names what is missing. */
struct json json_get(struct json object, const char *key);
struct json json_at(struct json array, size_t index);
bool json_present(struct json value); /* false for absent and for null */
bool json_is_object(struct json value);
bool json_is_array(struct json value);
bool json_is_string(struct json value);
bool json_is_number(struct json value);
bool json_is_integer(struct json value);
bool json_is_boolean(struct json value);
size_t json_length(struct json array_or_object);
/* Walks the keys of an object in order: *at starts as NULL; false past the end. *key is
   borrowed. */
bool json_next(struct json object, void **at, const char **key);

/* 0 when `value` is an object all of whose keys are among `known` (NULL-terminated); else
   ERR_INVALID: not an object, or "/sovler: unknown field; did you mean solver?". */
int json_object_check(struct json value, const char *const *known, struct err *err);

/* Each returns 0 or ERR_INVALID with the pointer; a missing value is an error, so test json_present
   first for optional ones. Booleans are not integers, and 3.0 is not one either. */
int json_read_integer(struct json value, int64_t min, int64_t max, int64_t *out, struct err *err);
int json_read_number(struct json value, double min, double max, double *out, struct err *err);
int json_read_boolean(struct json value, bool *out, struct err *err);
/* Borrowed; at most max bytes of any text. */
int json_read_text(struct json value, size_t max, const char **out, struct err *err);
/* The same without control characters. */
int json_read_string(struct json value, size_t max, const char **out, struct err *err);
/* A name of the house: [a-z0-9][a-z0-9_-]{0,63}. out: [LIMIT_NAME + 1]. */
int json_read_name(struct json value, char *out, struct err *err);
/* An integer 0 .. 2^53 - 1, or a decimal string up to 2^64 - 1. */
int json_read_seed(struct json value, uint64_t *out, struct err *err);
/* [[..], ..] of finite numbers, equally long rows: *out [rows, cols] owned by the caller. */
int json_read_matrix(struct json value, size_t rows_max, size_t cols_max, float **out, size_t *rows,
                     size_t *cols, struct err *err);
/* [..] of finite numbers: *out [count] owned by the caller. */
int json_read_vector(struct json value, size_t count_max, double **out, size_t *count,
                     struct err *err);
/* The value as compact JSON text appended to buf. */
int json_dump(struct json value, struct buf *out);

/* True for [a-z0-9][a-z0-9_-]{0,63}. */
bool json_name_valid(const char *name);

/* Of jansson; static. Thread: any. */
const char *json_library_version(void);

#endif
