#include "server/store/model_file.h"

#include "core/base/mem.h"
#include "proto/model_codec.h"
#include "proto/torch_file.h"
#include "server/store/files.h"
#include "server/store/hash.h"
#include "server/store/signature.h"
#include "server/store/upload.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "", "memory ran out while the checkpoint was loaded");
}

static int check_size(uint64_t size, struct err *err)
{
    if (size == 0)
        return err_set(err, ERR_FORMAT, "",
                       "the upload is empty; send a safetensors file or one of torch.save");
    if (size > LIMIT_CHECKPOINT_BYTES)
        return err_set(err, ERR_TOO_LARGE, "",
                       "the checkpoint has %llu bytes; at most %llu are read",
                       (unsigned long long)size, LIMIT_CHECKPOINT_BYTES);
    return 0;
}

static int check_signature(const unsigned char *bytes, size_t size, struct err *err)
{
    const char *foreign =
        signature_is_npy(bytes, size) ? "an NPY array" : signature_foreign(bytes, size);
    if (!foreign)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "",
                   "the file is %s; send safetensors, or what torch.save(model.state_dict(), path) "
                   "writes",
                   foreign);
}

static int load_bytes(struct model_ref **out, const unsigned char *bytes, size_t size,
                      const char *sidecar, struct err *err)
{
    int code = check_signature(bytes, size, err);
    if (code)
        return code;
    struct model_ref *ref = model_ref_new();
    if (!ref)
        return no_memory(err);
    code = model_load(&ref->model, &ref->config, bytes, size, sidecar, err);
    if (code) {
        model_ref_drop(ref);
        return code;
    }
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, bytes, size);
    hash_text(&hash, ref->sha256);
    ref->bytes = size;
    *out = ref;
    return 0;
}

int model_file_read(struct model_ref **out, int fd, uint64_t size, const char *sidecar,
                    struct err *err)
{
    int code = check_size(size, err);
    if (code)
        return code;
    unsigned char *bytes = mem_aligned((size_t)size, 1);
    if (!bytes)
        return no_memory(err);
    code = files_read(fd, 0, bytes, (size_t)size, err);
    if (!code)
        code = load_bytes(out, bytes, (size_t)size, sidecar, err);
    mem_free(bytes);
    return code;
}

/* Puts the bytes into a new file that takes the place of *upload. */
static int replace_upload(struct upload **upload, const struct buf *bytes, struct err *err)
{
    struct upload *fresh;
    int code = upload_new(&fresh, (*upload)->files, err);
    if (code)
        return code;
    code = upload_write(fresh, bytes->data, bytes->size, err);
    if (code) {
        upload_free(fresh);
        return code;
    }
    upload_free(*upload);
    *upload = fresh;
    return 0;
}

static int convert(struct upload **upload, const unsigned char *bytes, const char *sidecar,
                   struct err *err)
{
    struct buf converted;
    buf_init(&converted, LIMIT_CHECKPOINT_BYTES);
    int code = model_convert(&converted, bytes, (size_t)(*upload)->size, sidecar, err);
    if (!code)
        code = replace_upload(upload, &converted, err);
    buf_release(&converted);
    return code;
}

int model_file_adopt(struct upload **upload, char **sidecar, struct err *err)
{
    unsigned char start[SIGNATURE_BYTES];
    size_t size = (size_t)(*upload)->size;
    if (size < sizeof start)
        return 0;
    int code = files_read((*upload)->fd, 0, start, sizeof start, err);
    if (code || !torch_file_is(start, sizeof start))
        return code;
    unsigned char *bytes = mem_aligned(size, 1);
    if (!bytes)
        return no_memory(err);
    code = files_read((*upload)->fd, 0, bytes, size, err);
    if (!code)
        code = convert(upload, bytes, *sidecar, err);
    mem_free(bytes);
    if (code)
        return code;
    mem_free(*sidecar);
    *sidecar = NULL;
    return 0;
}
