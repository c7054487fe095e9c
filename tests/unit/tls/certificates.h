/* certificates: an authority and certificates of it, made anew in a temporary directory. */
#ifndef TEST_TLS_CERTIFICATES_H
#define TEST_TLS_CERTIFICATES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

struct certificates {
    char directory[32];
    char ca[64], server[64], server_key[64], client[64], client_key[64], other_ca[64];
};

static inline void certificates_write(const char *path, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    if (!file || (certificate && PEM_write_X509(file, certificate) != 1) ||
        (key && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1)) {
        abort();
    }
    fclose(file);
}

static inline void certificates_extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: self-signed, an authority. */
static inline X509 *certificates_make(const char *name, EVP_PKEY *key, X509 *issuer,
                                      EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    static long serial = 1;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject);
    if (!issuer) {
        certificates_extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        certificates_extend(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    }
    X509_sign(certificate, issuer_key, EVP_sha256());
    return certificate;
}

static inline void certificates_create(struct certificates *c)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca, *other, *server, *client;
    strcpy(c->directory, "/tmp/test-tls-XXXXXX");
    if (!mkdtemp(c->directory)) {
        abort();
    }
    snprintf(c->ca, sizeof c->ca, "%s/ca.pem", c->directory);
    snprintf(c->server, sizeof c->server, "%s/server.pem", c->directory);
    snprintf(c->server_key, sizeof c->server_key, "%s/server-key.pem", c->directory);
    snprintf(c->client, sizeof c->client, "%s/client.pem", c->directory);
    snprintf(c->client_key, sizeof c->client_key, "%s/client-key.pem", c->directory);
    snprintf(c->other_ca, sizeof c->other_ca, "%s/other.pem", c->directory);
    ca = certificates_make("authority", ca_key, NULL, ca_key);
    other = certificates_make("other authority", key, NULL, key);
    server = certificates_make("localhost", key, ca, ca_key);
    client = certificates_make("client", key, ca, ca_key);
    certificates_write(c->ca, ca, NULL);
    certificates_write(c->other_ca, other, NULL);
    certificates_write(c->server, server, NULL);
    certificates_write(c->server_key, NULL, key);
    certificates_write(c->client, client, NULL);
    certificates_write(c->client_key, NULL, key);
    X509_free(ca);
    X509_free(other);
    X509_free(server);
    X509_free(client);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

static inline void certificates_remove(struct certificates *c)
{
    unlink(c->ca);
    unlink(c->other_ca);
    unlink(c->server);
    unlink(c->server_key);
    unlink(c->client);
    unlink(c->client_key);
    rmdir(c->directory);
}

#endif
