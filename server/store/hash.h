/* SHA-256 of files, by nettle. Thread: any. */
#ifndef SERVER_STORE_HASH_H
#define SERVER_STORE_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>

enum { HASH_TEXT = 65 }; /* hex digits and NUL */

struct hash {
    struct sha256_ctx context;
};

void hash_init(struct hash *hash);
void hash_add(struct hash *hash, const void *data, size_t size);
/* Ends it. out: [HASH_TEXT], lower case. */
void hash_text(struct hash *hash, char *out);

#endif
