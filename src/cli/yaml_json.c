/* SPDX-License-Identifier: Apache-2.0 */
/* YAML in (a file for --yaml) and out (--output yaml), as far as JSON goes. */
#include "cli/az.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define DEPTH_MAX      64

/* --- reading -------------------------------------------------------------------------------- */

static json_t *scalar_json(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return json_string(text);
    if (text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0)
        return json_null();
    if (strcasecmp(text, "true") == 0)
        return json_true();
    if (strcasecmp(text, "false") == 0)
        return json_false();
    json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(number))
        return number;
    json_decref(number);
    return json_string(text);
}

/* An alias is a node of the document like any other: the depth and the count bound them. */
struct converter {
    yaml_document_t *document;
    size_t nodes;
};

static json_t *convert(struct converter *converter, int index, int depth)
{
    yaml_node_t *node = yaml_document_get_node(converter->document, index);
    if (!node || depth > DEPTH_MAX || ++converter->nodes > 100000)
        return NULL;
    if (node->type == YAML_SCALAR_NODE)
        return scalar_json(node);
    bool list = node->type == YAML_SEQUENCE_NODE;
    json_t *made = list ? json_array() : json_object();
    bool fine = made != NULL;
    if (list) {
        for (yaml_node_item_t *item = node->data.sequence.items.start;
             fine && item < node->data.sequence.items.top; item++)
            fine = json_array_append_new(made, convert(converter, *item, depth + 1)) == 0;
    } else {
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             fine && pair < node->data.mapping.pairs.top; pair++) {
            yaml_node_t *key = yaml_document_get_node(converter->document, pair->key);
            fine = key && key->type == YAML_SCALAR_NODE &&
                   json_object_set_new(made, (const char *)key->data.scalar.value,
                                       convert(converter, pair->value, depth + 1)) == 0;
        }
    }
    if (fine)
        return made;
    json_decref(made);
    return NULL;
}

int yaml_load_json(const char *path, json_t **ret, struct error *err)
{
    AUTO_BUFFER text = {0};
    yaml_parser_t parser;
    yaml_document_t document;
    int r = file_read_all(AT_FDCWD, path, FILE_MAX_BYTES, &text, err);
    if (r < 0)
        return r;
    if (!yaml_parser_initialize(&parser))
        return error_errno(err, ENOMEM, "reading '%s'", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)buffer_text(&text), text.length);
    if (!yaml_parser_load(&parser, &document)) {
        r = error_usage(err, "'%s', line %zu: this is no YAML: %s", path,
                        parser.problem_mark.line + 1, parser.problem ? parser.problem : "");
        yaml_parser_delete(&parser);
        return r;
    }
    struct converter converter = {.document = &document};
    json_t *json = convert(&converter, 1, 0);
    if (!json_is_object(json)) {
        json_decref(json);
        r = error_usage(err,
                        "'%s' must hold one map, with texts as keys, not nested deeper than "
                        "%d",
                        path, DEPTH_MAX);
    } else {
        *ret = json;
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return r;
}

/* --- writing -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, bool plain)
{
    yaml_event_t event;
    return yaml_scalar_event_initialize(
               &event, NULL, NULL, (const unsigned char *)text, (int)strlen(text), 1, 1,
               plain ? YAML_ANY_SCALAR_STYLE : YAML_SINGLE_QUOTED_SCALAR_STYLE) &&
           yaml_emitter_emit(emitter, &event);
}

/* Would a plain text be read back as something else? */
static bool needs_quotes(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "~"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    if (strncasecmp(text, "0x", 2) == 0)
        return true;
    return text[0] == '\0' || text[strspn(text, "0123456789+-.eExXoO_:TZ")] == '\0';
}

static bool emit(yaml_emitter_t *emitter, const json_t *json);

static bool emit_object(yaml_emitter_t *emitter, const json_t *json)
{
    yaml_event_t event;
    size_t count = 0;
    const char *key = NULL;
    json_t *value = NULL;
    AUTO_FREE const char **keys = calloc(json_object_size(json) + 1, sizeof(*keys));
    if (!keys ||
        !yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
        !yaml_emitter_emit(emitter, &event))
        return false;
    json_object_foreach((json_t *)json, key, value)
    {
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(*keys), by_name);
    for (size_t i = 0; i < count; i++) {
        if (!emit_text(emitter, keys[i], !needs_quotes(keys[i])) ||
            !emit(emitter, json_object_get(json, keys[i])))
            return false;
    }
    return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *json)
{
    yaml_event_t event;
    size_t i = 0;
    const json_t *item = NULL;
    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
        !yaml_emitter_emit(emitter, &event))
        return false;
    json_array_foreach(json, i, item)
    {
        if (!emit(emitter, item))
            return false;
    }
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit(yaml_emitter_t *emitter, const json_t *json)
{
    if (json_is_object(json))
        return emit_object(emitter, json);
    if (json_is_array(json))
        return emit_array(emitter, json);
    if (json_is_string(json))
        return emit_text(emitter, json_string_value(json), !needs_quotes(json_string_value(json)));
    AUTO_FREE char *text = json_dumps(json, JSON_ENCODE_ANY);
    return text && emit_text(emitter, text, true);
}

int yaml_print_json(const json_t *json, FILE *out)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter))
        return -ENOMEM;
    yaml_emitter_set_output_file(&emitter, out);
    yaml_emitter_set_unicode(&emitter, 1);
    bool fine = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
                yaml_emitter_emit(&emitter, &event) &&
                yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
                yaml_emitter_emit(&emitter, &event) && emit(&emitter, json) &&
                yaml_document_end_event_initialize(&event, 1) &&
                yaml_emitter_emit(&emitter, &event) && yaml_stream_end_event_initialize(&event) &&
                yaml_emitter_emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
    return fine ? 0 : -EIO;
}
