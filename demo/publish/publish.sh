#!/bin/sh
# Publish to a Bayeux server, signed, with openssl and curl:
#
#     publish.sh /news/sport '{"score": "1:0"}'       (or with the JSON on standard input)
#
# Where and as whom is said by the environment: BAYEUX_URL, BAYEUX_KEY_ID, BAYEUX_SECRET_FILE.
set -eu
export LC_ALL=C
TIMEOUT=5 # seconds
PAUSE=1

die() {
    echo "publish.sh: $1" >&2
    exit 1
}

# HMAC out of plain SHA-256, as RFC 2104 has it: openssl would take the secret as an argument, and those
# are shown to everybody by ps.  Here it goes through pipes alone.
sha256() {
    openssl dgst -sha256 -binary
}

key() {
    if [ ${#secret} -gt 64 ]; then printf %s "$secret" | sha256; else printf %s "$secret"; fi
    head -c 64 /dev/zero
}

xor() { # the key, a block of 64 bytes, each of them XORed with $1
    printf "$(for byte in $(key | od -An -v -tu1 -N64); do printf '\\%03o' $((byte ^ $1)); done)"
}

hmac() {
    { xor 92; { xor 54; cat; } | sha256; } | sha256 | od -An -v -tx1 | tr -d ' \n'
}

quote() { # as the inside of a JSON string
    printf %s "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'
}

post() {
    reply=$(printf %s "$message" | curl -s --fail --max-time $TIMEOUT "$@" \
        -H 'Content-Type: application/json' --data-binary @- "$url") &&
        case $reply in *'"successful"'*) ;; *) return 1 ;; esac
}

[ $# = 1 ] || [ $# = 2 ] || die 'usage: publish.sh CHANNEL [JSON]'
url=${BAYEUX_URL:?is not set} kid=${BAYEUX_KEY_ID:?is not set}
secret=$(tr -d '\r\n' < "${BAYEUX_SECRET_FILE:?is not set}")
channel=$1 ts=$(date +%s) nonce=$(openssl rand -hex 16)
# JSON text has these only between its tokens, where a space does as well.
payload=$(printf %s "${2-$(cat)}" | tr '\n\r\t' '   ')
sig=$(printf '%s\n%s\n%s\n%s\n%s\n%s' bayeux-publish-v1 "$kid" "$ts" "$nonce" "$channel" "$payload" | hmac)
message=$(printf '[{"channel":"%s","data":"%s","ext":{"hmac":{"v":1,"kid":"%s","ts":%s,"nonce":"%s","sig":"%s"}}}]' \
    "$(quote "$channel")" "$(quote "$payload")" "$kid" "$ts" "$nonce" "$sig")

# Posted again if there is no reply: one signature is published only once.
post || { sleep $PAUSE; post -S; } || die "no reply from $url"
printf %s "$reply" | grep -q '"successful": *true' ||
    die "the server refuses: $(printf %s "$reply" | sed 's/.*"error": *"\([^"]*\)".*/\1/')"
