/* What libmicrohttpd lets through and HTTP/1.1 does not: a request is looked at here before
   anything else, so that no two parsers can disagree about where it ends. Pure. */
#ifndef SERVER_HTTP_GUARD_H
#define SERVER_HTTP_GUARD_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARD_HEADERS = 100 }; /* headers of one request; browsers send some 20 */

/* Borrowed from the connection for the life of the request; NUL-terminated too. */
struct header {
    const char *name, *value;
    size_t name_size, value_size;
};

/* How long the body is, as its headers state it. */
struct framing {
    bool has_body; /* a body of at least one byte, or of a length not known yet */
    bool chunked;
    uint64_t length; /* bytes; 0 when chunked */
};

/* The raw target: origin form, printable ASCII, every % followed by two hex digits, never %00.
   0 or ERR_MALFORMED. */
int guard_target(const char *target, struct err *err);
/* Field names are tokens, values have no control characters; exactly one Host (at most one in
   HTTP/1.0), at most one Content-Length, or Transfer-Encoding, which is "chunked"; no
   Content-Encoding but "identity". 0, ERR_MALFORMED or ERR_UNSUPPORTED. */
int guard_headers(struct framing *out, const struct header *headers, size_t count, bool http11,
                  struct err *err);
/* The header of that name (case does not matter), or NULL. */
const struct header *guard_find(const struct header *headers, size_t count, const char *name);

#endif
