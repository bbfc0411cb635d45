/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/manifest.h"

#include <string.h>

#define A             "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B             "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MANIFEST_TYPE "'mediaType':'application/vnd.oci.image.manifest.v1+json'"
#define INDEX_TYPE    "'mediaType':'application/vnd.oci.image.index.v1+json'"
#define TAG(name)     "'annotations':{'org.opencontainers.image.ref.name':'" name "'}"
#define FOR(os, cpu)  "'platform':{'os':'" os "','architecture':'" cpu "'}"
#define LAYER_TYPE    "'mediaType':'application/vnd.oci.image.layer.v1.tar"

static json_t *json(const char *text)
{
    char copy[4096];
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *at = copy; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *parsed = json_loads(copy, 0, NULL);
    assert_non_null(parsed);
    return parsed;
}

static void assert_chosen(const char *text, bool top, const char *tag, const char *digest,
                          enum image_document kind)
{
    struct image_descriptor found;
    enum image_document found_kind = IMAGE_MANIFEST;
    struct error err = {0};
    json_t *index = json(text);
    if (image_index_choose(index, top, tag, "amd64", &found, &found_kind, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(found.digest, digest);
    assert_int_equal(found_kind, kind);
    json_decref(index);
}

static void assert_none(const char *text, const char *tag, const char *why)
{
    struct image_descriptor found;
    enum image_document kind = IMAGE_MANIFEST;
    struct error err = {0};
    json_t *index = json(text);
    if (image_index_choose(index, true, tag, "amd64", &found, &kind, &err) == 0)
        fail_msg("%s was taken", text);
    assert_int_equal(err.kind, ERROR_USAGE);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not hold '%s'", err.text, why);
    json_decref(index);
}

#define ITEM(digest, more) "{'digest':'" digest "','size':1," more "}"
#define LIST(items)        "{'manifests':[" items "]}"

static void test_choose(void **state)
{
    (void)state;
    assert_chosen(LIST(ITEM(A, MANIFEST_TYPE)), true, NULL, A, IMAGE_MANIFEST);
    assert_chosen(LIST(ITEM(A, INDEX_TYPE)), true, NULL, A, IMAGE_INDEX);
    assert_chosen(LIST(ITEM(A, MANIFEST_TYPE "," TAG("a")) "," ITEM(B, MANIFEST_TYPE "," TAG("b"))),
                  true, "b", B, IMAGE_MANIFEST);
    /* One image under two tags is one image. */
    assert_chosen(LIST(ITEM(A, MANIFEST_TYPE "," TAG("a")) "," ITEM(A, MANIFEST_TYPE "," TAG("b"))),
                  true, NULL, A, IMAGE_MANIFEST);
    assert_chosen(LIST(ITEM(A, MANIFEST_TYPE "," FOR("linux", "arm64")) "," ITEM(
                      B, MANIFEST_TYPE "," FOR("linux", "amd64"))),
                  true, NULL, B, IMAGE_MANIFEST);
    /* Further down the first that fits. */
    assert_chosen(LIST(ITEM(B, MANIFEST_TYPE "," FOR("linux", "amd64")) "," ITEM(
                      A, MANIFEST_TYPE "," FOR("linux", "amd64"))),
                  false, "ignored", B, IMAGE_MANIFEST);
    assert_chosen(LIST(ITEM(A, "'mediaType':'application/vnd.example+json'") "," ITEM(
                      B, "'mediaType':'application/vnd.docker.distribution.manifest.v2+json'")),
                  true, NULL, B, IMAGE_MANIFEST);
}

static void test_choose_none(void **state)
{
    (void)state;
    assert_none("{}", NULL, "lists no image");
    assert_none("{'manifests':{}}", NULL, "lists no image");
    assert_none(LIST(ITEM(A, MANIFEST_TYPE "," TAG("a")) "," ITEM(B, MANIFEST_TYPE "," TAG("b"))),
                NULL, "add ':' and a tag: a, b");
    assert_none(LIST(ITEM(A, MANIFEST_TYPE "," TAG("a")) "," ITEM(B, MANIFEST_TYPE "," TAG("a"))),
                "a", "several images have the tag 'a'");
    assert_none(LIST(ITEM(A, MANIFEST_TYPE "," TAG("a")) "," ITEM(B, MANIFEST_TYPE)), "c",
                "no image with the tag 'c'; there are: a, (no tag)");
    assert_none(LIST(ITEM(A, MANIFEST_TYPE "," FOR("linux", "arm64"))), NULL,
                "only for linux/arm64");
    assert_none(LIST("{'digest':'sha256:../x','size':1," MANIFEST_TYPE "}"), NULL, "no sha256");
    assert_none(LIST("{'digest':'" A "','size':-1," MANIFEST_TYPE "}"), NULL, "has no size");
    assert_none(LIST("{'digest':'" A "a','size':1," MANIFEST_TYPE "}"), NULL, "no sha256");
    assert_none(LIST("7,'x',null"), NULL, "");
}

static int parse_manifest(const char *text, struct image_manifest *ret, struct error *err)
{
    json_t *document = json(text);
    int r = image_manifest_parse(document, ret, err);
    json_decref(document);
    return r;
}

#define CONFIG "'config':{'digest':'" A "','size':2}"

static void test_manifest(void **state)
{
    struct image_manifest manifest;
    struct error err = {0};
    (void)state;
    assert_int_equal(parse_manifest("{'schemaVersion':2," CONFIG ",'layers':[{'digest':'" B
                                    "','size':3," LAYER_TYPE "+zstd'},{'digest':'" A
                                    "','size':4," LAYER_TYPE "'}]}",
                                    &manifest, &err),
                     0);
    assert_int_equal(manifest.layer_count, 2);
    assert_string_equal(manifest.config.digest, A);
    assert_int_equal(manifest.layers[0].compression, IMAGE_ZSTD);
    assert_int_equal(manifest.layers[0].blob.size, 3);
    assert_int_equal(manifest.layers[1].compression, IMAGE_PLAIN);
    assert_true(parse_manifest("{'schemaVersion':1," CONFIG ",'layers':[]}", &manifest, &err) < 0);
    assert_true(parse_manifest("{'schemaVersion':2,'layers':[]}", &manifest, &err) < 0);
    assert_true(parse_manifest("{'schemaVersion':2," CONFIG "}", &manifest, &err) < 0);
    assert_true(parse_manifest("{'schemaVersion':2," CONFIG ",'layers':[1]}", &manifest, &err) < 0);
    assert_int_equal(err.kind, ERROR_USAGE);
}

static int parse_config(const char *text, unsigned layers, struct image_config *ret,
                        struct error *err)
{
    json_t *document = json(text);
    int r = image_config_parse(document, "amd64", layers, ret, err);
    json_decref(document);
    return r;
}

#define MACHINE "'os':'linux','architecture':'amd64'"

static void test_config(void **state)
{
    struct image_config config = {0};
    struct error err = {0};
    (void)state;
    assert_int_equal(parse_config("{" MACHINE ",'rootfs':{'diff_ids':['" A
                                  "']},'config':{'Entrypoint':['/a',"
                                  "'b'],'Cmd':null,'Env':['A=b'],'User':'app','WorkingDir':'/w'}}",
                                  1, &config, &err),
                     0);
    assert_string_equal(config.entrypoint[1], "b");
    assert_null(config.entrypoint[2]);
    assert_null(config.cmd);
    assert_string_equal(config.env[0], "A=b");
    assert_string_equal(config.user, "app");
    assert_string_equal(config.directory, "/w");
    assert_string_equal(config.diff_ids[0], A);
    image_config_done(&config);
    assert_int_equal(parse_config("{" MACHINE "}", 0, &config, &err), 0);
    assert_string_equal(config.user, "");
    image_config_done(&config);
    assert_int_equal(parse_config("{" MACHINE "}", IMAGE_LAYERS_ANY, &config, &err), 0);
    image_config_done(&config);
    assert_true(parse_config("{" MACHINE "}", 1, &config, &err) < 0);
    assert_true(parse_config("{'os':'linux','architecture':'arm64'}", 0, &config, &err) < 0);
    assert_non_null(strstr(err.text, "linux/arm64, and this machine is linux/amd64"));
    assert_true(parse_config("{" MACHINE ",'config':{'Cmd':['a',1]}}", 0, &config, &err) < 0);
    assert_non_null(strstr(err.text, "Cmd[1]"));
    assert_true(parse_config("{" MACHINE ",'config':{'Env':'A=b'}}", 0, &config, &err) < 0);
    assert_null(config.user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_choose_none),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
