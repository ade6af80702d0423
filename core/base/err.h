/* Errors that foreign input or the world can cause: a code, the place, and one sentence. */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

/* X(code, slug, title). The slug ends the problem type; proto/problem.c maps codes to HTTP. */
#define ERR_CODES(X)                                                                               \
    X(MALFORMED, "malformed-request", "The request is not well-formed HTTP")                       \
    X(INVALID_JSON, "invalid-json", "The body is not valid JSON")                                  \
    X(INVALID, "invalid-request", "The request cannot be carried out as it stands")                \
    X(FORMAT, "invalid-file", "The file cannot be read")                                           \
    X(NOT_FOUND, "not-found", "There is no such thing")                                            \
    X(METHOD, "method-not-allowed", "The resource does not know this method")                      \
    X(NOT_ACCEPTABLE, "not-acceptable", "None of the accepted media types can be produced")        \
    X(UNSUPPORTED, "unsupported-media-type", "The media type of the body is not supported")        \
    X(TOO_LARGE, "too-large", "The body or the answer would pass a limit")                         \
    X(CONFLICT, "conflict", "The state of the resource does not allow this")                       \
    X(OVERLOADED, "overloaded", "The daemon has as much work as it accepts")                       \
    X(DEADLINE, "deadline-passed", "The time that the request allows has passed")                 \
    X(UNAVAILABLE, "unavailable", "The daemon cannot serve this now")                              \
    X(CANCELLED, "cancelled", "The work was cancelled")                                            \
    X(NON_FINITE, "non-finite", "The computation left the finite numbers")                         \
    X(NO_SPACE, "no-space", "The disk is full")                                                    \
    X(IO, "io-error", "A file could not be read or written")                                       \
    X(NOMEM, "out-of-memory", "Memory ran out")                                                    \
    X(INTERNAL, "internal-error", "The daemon failed")

enum err_code {
    ERR_NONE = 0,
#define ERR_ENUM(code, slug, title) ERR_##code,
    ERR_CODES(ERR_ENUM)
#undef ERR_ENUM
        ERR_CODE_COUNT
};

/* Caller-owned, fixed size: nothing is allocated on an error path. Zero-initialise. */
struct err {
    enum err_code code; /* ERR_NONE until something failed */
    char where[192];    /* JSON pointer ("/solver/steps"), "line 3, column 2", tensor name, or "" */
    char message[320];  /* one sentence for the client: no paths, no bytes of the input unescaped */
};

/* Fills *err unless it is NULL or already holds an error (the first one wins); returns code. */
int err_set(struct err *err, enum err_code code, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Static strings for a code; "internal-error" for one that is out of range. */
const char *err_slug(enum err_code code);
const char *err_title(enum err_code code);

#endif
