#include "server/store/signature.h"

#include <string.h>

static const char npy_magic[] = "\x93NUMPY";

static const struct {
    const char *magic;
    size_t size;
    const char *name;
} foreign[] = {
    {"PK\x03\x04", 4, "a zip archive (torch.save, numpy.savez and Excel write these)"},
    {"\x80\x02\x8a\x0al\xfc\x9c\x46", 8,
     "of torch.save before PyTorch 1.6 (load and save it again)"},
    {"\x80\x02", 2, "a Python pickle"},
    {"\x80\x03", 2, "a Python pickle"},
    {"\x80\x04\x95", 3, "a Python pickle"},
    {"\x80\x05\x95", 3, "a Python pickle"},
    {"\x89HDF\r\n", 6, "an HDF5 file"},
    {"GGUF", 4, "a GGUF file"},
    {"PAR1", 4, "a Parquet file"},
    {"ARROW1", 6, "an Arrow file"},
    {"\x1f\x8b", 2, "compressed with gzip"},
    {"(\xb5/\xfd", 4, "compressed with zstd"},
    {"BZh", 3, "compressed with bzip2"},
    {"\xfd"
     "7zXZ",
     5, "compressed with xz"},
};

bool signature_is_npy(const unsigned char *bytes, size_t size)
{
    return size >= sizeof npy_magic - 1 && memcmp(bytes, npy_magic, sizeof npy_magic - 1) == 0;
}

/* A safetensors file begins with the length of its header, whose low bytes may be those of a
   pickle: 640 is 80 02. No pickle goes on with zeros. */
static bool signature_is_length(const unsigned char *bytes, size_t size)
{
    static const unsigned char zeros[5];
    return size >= SIGNATURE_BYTES && bytes[0] == 0x80 &&
           memcmp(bytes + SIGNATURE_BYTES - sizeof zeros, zeros, sizeof zeros) == 0;
}

const char *signature_foreign(const unsigned char *bytes, size_t size)
{
    if (signature_is_length(bytes, size))
        return NULL;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (size >= foreign[i].size && memcmp(bytes, foreign[i].magic, foreign[i].size) == 0)
            return foreign[i].name;
    }
    return NULL;
}
