/* SPDX-License-Identifier: Apache-2.0 */
/* `kubectl get ... -o json`: one object or a List of them; pods and events may be mixed. */
#include "import/kubernetes.h"

#include "base/cleanup.h"
#include "import/formats.h"
#include "import/json_list.h"

#include <string.h>

#define LIST_DEPTH_MAX 4

static int give(const json_t *object, uint64_t line, int depth, const struct fact_sink *sink,
                struct error *err)
{
    const json_t *items = json_object_get(object, "items");
    const char *kind = json_text_at(object, "kind");
    if (json_is_array(items) && depth < LIST_DEPTH_MAX) {
        size_t i;
        const json_t *item;
        json_array_foreach(items, i, item)
        {
            int r = give(item, line, depth + 1, sink, err);
            if (r < 0)
                return r;
        }
        return 0;
    }
    /* The items of a typed list ("PodList", from the API itself) carry no kind of their own. */
    if (kind ? strcmp(kind, "Pod") == 0 : json_at(object, "status.containerStatuses") != NULL)
        return kubernetes_give_pod(object, line, sink, err);
    if (kind ? strcmp(kind, "Event") == 0
             : json_at(object, "involvedObject") || json_at(object, "regarding"))
        return kubernetes_give_event_object(object, line, sink, err);
    return 0;
}

int kubernetes_give_object(const json_t *object, uint64_t line, const struct fact_sink *sink,
                           struct error *err)
{
    return give(object, line, 0, sink, err);
}

bool import_kubernetes_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    char first = head_first(head);
    return (first == '{' || first == '[') && head_has(head, "\"apiVersion\"") &&
           (head_has(head, "\"containerStatuses\"") || head_has(head, "\"kind\""));
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

int import_kubernetes_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct head head;
    int r = input_head(input, &head, err);
    if (r < 0)
        return r;
    bool list = head_first(&head) == '{' && json_list_in_head(&head, "items", 1);
    if (list && (r = json_list_enter(input, "items", 1, err)) < 0)
        return r;
    for (;;) {
        CLEANUP(cleanup_json) json_t *object = NULL;
        uint64_t line;
        r = list ? json_list_next(input, &object, &line, err)
                 : input_json(input, &object, &line, err);
        if (r <= 0)
            return r;
        r = kubernetes_give_object(object, line, sink, err);
        if (r < 0)
            return r;
    }
}
