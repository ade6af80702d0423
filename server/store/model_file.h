/* Reading a checkpoint file into a model that can be published. Waits for the disk and computes:
   the files courier's thread. */
#ifndef SERVER_STORE_MODEL_FILE_H
#define SERVER_STORE_MODEL_FILE_H

#include "server/engine/registry.h"

struct upload;

/* An upload as it is kept: of a PyTorch file (proto/torch_file.h), *upload and *sidecar (may be
   NULL) are replaced by the safetensors file that holds its weights and the sidecar; any other
   stays as it is. 0; ERR_FORMAT, ERR_INVALID naming what cannot be read; ERR_TOO_LARGE, ERR_IO,
   .. */
int model_file_adopt(struct upload **upload, char **sidecar, struct err *err);

/* The whole file, with every check of model_load; *out has one reference, with model, config, bytes
   and sha256 set, and no name, version or time yet. sidecar: the JSON that came beside the file, or
   NULL. 0; ERR_UNSUPPORTED (a pickle, a zip archive); ERR_FORMAT, ERR_INVALID naming
   the tensor or the field; ERR_TOO_LARGE, ERR_IO, ERR_NOMEM. */
int model_file_read(struct model_ref **out, int fd, uint64_t size, const char *sidecar,
                    struct err *err);

#endif
