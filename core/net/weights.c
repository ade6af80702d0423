#include "core/net/weights.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHTS_LAYERS = LIMIT_LAYERS + 1, WEIGHTS_DIGITS = 6 };

/* The two tensors of one linear layer. */
struct linear {
    unsigned number; /* N of PREFIX.N.weight */
    const struct tensor *weight;
    const struct tensor *bias;
};

/* The linear layers of a file, by rising number. */
struct chain {
    const char *prefix; /* of the first tensor met, not terminated */
    size_t prefix_length;
    struct linear layers[WEIGHTS_LAYERS];
    size_t count;
};

/* A tensor's name taken apart. */
struct key {
    size_t prefix_length; /* up to and with the dot before the number; may be 0 */
    unsigned number;
    bool is_bias;
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* PREFIX.N.weight or PREFIX.N.bias, or N.weight without any prefix. */
static bool key_parse(struct key *key, const char *name)
{
    const char *last_dot = strrchr(name, '.');
    if (!last_dot)
        return false;
    key->is_bias = strcmp(last_dot, ".bias") == 0;
    if (!key->is_bias && strcmp(last_dot, ".weight") != 0)
        return false;
    const char *digits = last_dot;
    while (digits > name && is_digit(digits[-1]))
        digits--;
    size_t length = (size_t)(last_dot - digits);
    bool leading_zero = length > 1 && digits[0] == '0';
    if (length < 1 || length > WEIGHTS_DIGITS || leading_zero)
        return false;
    if (digits > name && digits[-1] != '.')
        return false;
    key->prefix_length = (size_t)(digits - name);
    key->number = 0;
    for (size_t i = 0; i < length; i++)
        key->number = key->number * 10 + (unsigned)(digits[i] - '0');
    return true;
}

/* The layer of that number, inserted in its place where it is new; NULL when there is no room. */
static struct linear *chain_layer(struct chain *chain, unsigned number)
{
    size_t at = chain->count;
    while (at > 0 && chain->layers[at - 1].number >= number)
        at--;
    if (at < chain->count && chain->layers[at].number == number)
        return &chain->layers[at];
    if (chain->count == WEIGHTS_LAYERS)
        return NULL;
    memmove(&chain->layers[at + 1], &chain->layers[at],
            (chain->count - at) * sizeof chain->layers[0]);
    chain->layers[at] = (struct linear){.number = number};
    chain->count++;
    return &chain->layers[at];
}

static int chain_add(struct chain *chain, const struct tensor *tensor, struct err *err)
{
    struct key key;
    if (!key_parse(&key, tensor->name))
        return err_set(err, ERR_FORMAT, tensor->name,
                       "This tensor is no part of an MLP, whose tensors are named "
                       "PREFIX.N.weight and PREFIX.N.bias.");
    if (!chain->prefix) {
        chain->prefix = tensor->name;
        chain->prefix_length = key.prefix_length;
    }
    if (key.prefix_length != chain->prefix_length ||
        memcmp(tensor->name, chain->prefix, key.prefix_length) != 0)
        return err_set(err, ERR_FORMAT, tensor->name,
                       "This tensor has another prefix than the layers before it; one chain of "
                       "linear layers is expected.");
    struct linear *layer = chain_layer(chain, key.number);
    if (!layer)
        return err_set(err, ERR_FORMAT, tensor->name, "The file has more than %d layers.",
                       WEIGHTS_LAYERS);
    const struct tensor **slot = key.is_bias ? &layer->bias : &layer->weight;
    if (*slot)
        return err_set(err, ERR_FORMAT, tensor->name, "The file has this tensor twice.");
    *slot = tensor;
    return 0;
}

static int linear_check(const struct linear *layer, enum dtype dtype, struct err *err)
{
    const struct tensor *weight = layer->weight, *bias = layer->bias;
    if (!weight)
        return err_set(err, ERR_FORMAT, bias->name, "This bias has no weight beside it.");
    if (!bias)
        return err_set(err, ERR_FORMAT, weight->name,
                       "This weight has no bias beside it; layers without bias are not served.");
    if (weight->rank != 2)
        return err_set(err, ERR_FORMAT, weight->name,
                       "This tensor has %zu dimensions; the weight of a linear layer has 2, "
                       "[outputs, inputs].",
                       weight->rank);
    if (bias->rank != 1 || bias->shape[0] != weight->shape[0])
        return err_set(err, ERR_FORMAT, bias->name,
                       "The bias must have one dimension of %zu, the outputs of its weight.",
                       weight->shape[0]);
    if (weight->dtype != dtype || bias->dtype != dtype)
        return err_set(err, ERR_FORMAT, weight->dtype != dtype ? weight->name : bias->name,
                       "This tensor is %s, and the first layer is %s; all must be of one kind.",
                       dtype_name(weight->dtype != dtype ? weight->dtype : bias->dtype),
                       dtype_name(dtype));
    for (int i = 0; i < 2; i++) {
        if (weight->shape[i] < 1 || weight->shape[i] > LIMIT_LAYER_WIDTH)
            return err_set(err, ERR_FORMAT, weight->name,
                           "The layer is %zu by %zu; both must be between 1 and %d.",
                           weight->shape[0], weight->shape[1], LIMIT_LAYER_WIDTH);
    }
    return 0;
}

static int chain_check(const struct chain *chain, struct err *err)
{
    if (chain->count < 2)
        return err_set(err, ERR_FORMAT, "",
                       "The file has %zu linear layers (PREFIX.N.weight); a network has at least "
                       "2.",
                       chain->count);
    const struct tensor *first = chain->layers[0].weight;
    for (size_t i = 0; i < chain->count; i++) {
        const struct linear *layer = &chain->layers[i];
        int code = linear_check(layer, first ? first->dtype : DTYPE_F32, err);
        if (code)
            return code;
        if (i > 0 && layer->weight->shape[1] != chain->layers[i - 1].weight->shape[0])
            return err_set(err, ERR_FORMAT, layer->weight->name,
                           "The layer takes %zu inputs, and the layer before it has %zu outputs.",
                           layer->weight->shape[1], chain->layers[i - 1].weight->shape[0]);
    }
    return 0;
}

/* Finds the chain of layers and checks that it is one. */
static int chain_read(struct chain *chain, const struct tensor_table *table, struct err *err)
{
    *chain = (struct chain){0};
    for (size_t i = 0; i < table->count; i++) {
        const struct tensor *tensor = &table->tensors[i];
        if (starts_with(tensor->name, "optimizer.") || starts_with(tensor->name, "ema."))
            continue;
        int code = chain_add(chain, tensor, err);
        if (code)
            return code;
    }
    return chain_check(chain, err);
}

/* The outputs of the last layer against the dimensions of x that the first layer leaves. */
static int check_outputs(const struct tensor *last, size_t dim, size_t features, struct err *err)
{
    size_t outputs = last->shape[0];
    if (outputs == dim)
        return 0;
    if (outputs == 1)
        return err_set(err, ERR_FORMAT, last->name,
                       "The network has one output for x of %zu dimensions: it looks like a "
                       "scalar potential (action matching), whose gradient is the drift. A "
                       "velocity field needs as many outputs as x has dimensions.",
                       dim);
    return err_set(err, ERR_FORMAT, last->name,
                   "The network has %zu outputs, but x has %zu dimensions (the inputs of the first "
                   "layer less %zu for time). A velocity field needs as many outputs as x has "
                   "dimensions.",
                   outputs, dim, features);
}

int weights_infer(struct net_spec *spec, const struct tensor_table *table, struct err *err)
{
    struct chain chain;
    int code = chain_read(&chain, table, err);
    if (code)
        return code;
    const struct tensor *first = chain.layers[0].weight;
    const struct tensor *last = chain.layers[chain.count - 1].weight;
    size_t inputs = first->shape[1];
    size_t features = time_spec_features(&spec->time);
    if (inputs <= features)
        return err_set(err, ERR_FORMAT, first->name,
                       "The first layer takes %zu inputs, of which time has %zu: none is left for "
                       "x.",
                       inputs, features);
    code = check_outputs(last, inputs - features, features, err);
    if (code)
        return code;
    struct net_spec found = *spec;
    found.dim = inputs - features;
    found.hidden_count = chain.count - 1;
    for (size_t i = 0; i < found.hidden_count; i++)
        found.hidden[i] = chain.layers[i].weight->shape[0];
    code = net_spec_check(&found, err);
    if (code)
        return code;
    *spec = found;
    return 0;
}

static int fill(struct net *net, const struct chain *chain, struct err *err)
{
    const struct net_spec *spec = &net->spec;
    for (size_t i = 0; i < chain->count; i++) {
        const struct linear *layer = &chain->layers[i];
        if (layer->weight->shape[0] != net_spec_out(spec, i) ||
            layer->weight->shape[1] != net_spec_in(spec, i))
            return err_set(err, ERR_FORMAT, layer->weight->name,
                           "The layer is %zu by %zu; %zu by %zu is expected.",
                           layer->weight->shape[0], layer->weight->shape[1], net_spec_out(spec, i),
                           net_spec_in(spec, i));
        int code = tensor_read(layer->weight, net->params + net_spec_weight_offset(spec, i), err);
        if (!code)
            code = tensor_read(layer->bias, net->params + net_spec_bias_offset(spec, i), err);
        if (code)
            return code;
    }
    if (net_pack(net) != 0)
        return err_set(err, ERR_NOMEM, "", "Memory ran out for the weights of the network.");
    return 0;
}

int weights_load(struct net *net, const struct net_spec *spec, const struct tensor_table *table,
                 struct err *err)
{
    struct chain chain;
    int code = chain_read(&chain, table, err);
    if (code)
        return code;
    if (chain.count != net_spec_layers(spec))
        return err_set(err, ERR_FORMAT, "", "The file has %zu layers; %zu are expected.",
                       chain.count, net_spec_layers(spec));
    code = net_init(net, spec, err);
    if (code)
        return code;
    code = fill(net, &chain, err);
    if (code)
        net_release(net);
    return code;
}

static int export_one(struct tensor_table *table, struct tensor *tensor, const float *data)
{
    tensor->dtype = DTYPE_F32;
    tensor->count = tensor->shape[0] * (tensor->rank == 2 ? tensor->shape[1] : 1);
    tensor->data = (const unsigned char *)data;
    return tensor_table_add(table, tensor);
}

int weights_export(struct tensor_table *table, const char *prefix, const struct net_spec *spec,
                   const float *params)
{
    for (size_t i = 0; i < net_spec_layers(spec); i++) {
        struct tensor weight = {.rank = 2, .shape = {net_spec_out(spec, i), net_spec_in(spec, i)}};
        struct tensor bias = {.rank = 1, .shape = {net_spec_out(spec, i)}};
        snprintf(weight.name, sizeof weight.name, "%snet.%zu.weight", prefix, 2 * i);
        snprintf(bias.name, sizeof bias.name, "%snet.%zu.bias", prefix, 2 * i);
        int code = export_one(table, &weight, params + net_spec_weight_offset(spec, i));
        if (!code)
            code = export_one(table, &bias, params + net_spec_bias_offset(spec, i));
        if (code)
            return code;
    }
    return 0;
}
