#include "server/store/upload.h"

#include "core/base/mem.h"

#include <unistd.h>

int upload_new(struct upload **out, const struct files *files, struct err *err)
{
    struct upload *upload = mem_zalloc(1, sizeof *upload);
    if (!upload)
        return err_set(err, ERR_NOMEM, "", "memory ran out");
    upload->files = files;
    int code = files_create_tmp(files, upload->name, &upload->fd, err);
    if (code)
        mem_free(upload);
    else
        *out = upload;
    return code;
}

int upload_write(struct upload *upload, const void *data, size_t size, struct err *err)
{
    int code = files_write(upload->fd, data, size, err);
    if (!code)
        upload->size += size;
    return code;
}

void upload_free(struct upload *upload)
{
    if (!upload)
        return;
    close(upload->fd);
    files_remove(upload->files->tmp, upload->name, NULL);
    mem_free(upload);
}
