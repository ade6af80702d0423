/* What a file is by its first bytes, so that the wrong kind is refused by name. Thread: any. */
#ifndef SERVER_STORE_SIGNATURE_H
#define SERVER_STORE_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

enum { SIGNATURE_BYTES = 8 }; /* enough of the beginning for all of them */

bool signature_is_npy(const unsigned char *bytes, size_t size);
/* "a zip archive (what torch.save writes)" and so on: formats that are neither tables nor
   safetensors; NULL for everything else. */
const char *signature_foreign(const unsigned char *bytes, size_t size);

#endif
