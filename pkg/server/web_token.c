/* web_token: neither a token nor the query that may contain it is ever logged. */
#include "server/web_token.h"

#include "base/log.h"
#include "metrics/metrics.h"

static struct log_limit refused_limit = {.burst = 10};

static void judge_web_token(struct web_token *token, struct bytes text, const char *space)
{
    if (!auth_token_check(token->verifier, text, token->now_ms, &token->claims, &token->why)) {
        token->code = WEBSOCKET_UNAUTHORIZED;
    } else if (!auth_claims_allow(&token->claims, space)) {
        metrics_add(METRIC_TOKENS_REFUSED_SPACE, 1);
        token->code = WEBSOCKET_FORBIDDEN;
        token->why = "token does not allow this space";
    }
}

void web_token_read(struct web_token *token, const struct auth_verifier *verifier,
                    struct http_request *request, const char *space, bool comes_later,
                    uint64_t now_ms)
{
    struct bytes text;
    *token = (struct web_token){.now_ms = now_ms};
    if (!verifier || !auth_verifier_is_on(verifier)) {
        return;
    }
    token->verifier = verifier;
    text = auth_request_token(http_request_header(request, "Authorization"),
                              http_request_query(request, "token"));
    if (text.len > 0) {
        conn_charge(http_request_conn(request), auth_verifier_units(verifier));
    }
    if (text.len > 0 || !comes_later) {
        judge_web_token(token, text, space);
    }
}

/* A refused client has received the reason: its messages are ignored. */
static void on_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
}

static void on_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
}

static const struct websocket_handler refused = {.message = on_message, .closed = on_closed};

static void refuse_web_token(const struct web_token *token, struct websocket *websocket)
{
    log_limited(LOG_INFO, &refused_limit, "token_refused",
                LOG_STRING("peer", conn_peer_text(websocket_conn(websocket))),
                LOG_STRING("reason", token->why));
    websocket_set_handler(websocket, &refused, NULL);
    websocket_close(websocket, token->code, token->why);
}

bool web_token_apply(const struct web_token *token, struct websocket *websocket)
{
    if (!token->verifier) {
        return true;
    }
    if (token->why) {
        refuse_web_token(token, websocket);
        return false;
    }
    if (token->claims.user) {
        websocket_set_lifetime(websocket, auth_claims_left_ms(&token->claims, token->now_ms),
                               WEBSOCKET_UNAUTHORIZED, "token expired");
    } else {
        websocket_set_lifetime(websocket, auth_verifier_deadline_ms(token->verifier),
                               WEBSOCKET_UNAUTHORIZED, "no token");
    }
    return true;
}

void web_token_free(struct web_token *token)
{
    auth_claims_free(&token->claims);
}
