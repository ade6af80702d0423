/* RFC 9457 problem documents: one table from error code to HTTP status. */
#ifndef PROTO_PROBLEM_H
#define PROTO_PROBLEM_H

#include "core/base/buf.h"
#include "core/base/err.h"

int problem_status(enum err_code code);
/* {"type": "urn:advectd:problem:SLUG", "title", "status", "detail", "errors":
   [{"pointer"|"place", "detail"}]}: "pointer" where err->where starts with "/" (or is "" for a
   body), "place" otherwise. */
void problem_write(struct buf *out, const struct err *err);

#endif
