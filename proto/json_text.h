/* What json.c asks of plain text: checks before the parser sees a body, and names. */
#ifndef PROTO_JSON_TEXT_H
#define PROTO_JSON_TEXT_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest seed that is a number: what every client's double holds exactly. */
#define JSON_SEED_NUMBER_MAX ((INT64_C(1) << 53) - 1)

enum { JSON_TEXT_PLACE = 64 }; /* room for "line 2, column 7" */

/* Nothing but JSON's white space. */
bool json_text_blank(const char *text, size_t size);
/* What the parser would let through or trip over: a NUL byte (it skips one behind a number), and
   brackets outside strings deeper than LIMIT_JSON_DEPTH (it recurses). 0, or ERR_INVALID_JSON with
   the place. */
int json_text_check(const char *text, size_t size, struct err *err);
/* Decimal digits up to 2^64 - 1 and nothing else. */
bool json_text_decimal(const char *text, uint64_t *out);
/* The known name (NULL-terminated list) at most two edits from key: what was probably meant; or
 * NULL. */
const char *json_text_nearest(const char *key, const char *const *known);

#endif
