<?php
/**
 * Publish to a Bayeux server, signed: Bayeux\publish() in a program, or at the command line
 *
 *     php publish.php /news/sport '{"score": "1:0"}'       (or with the JSON on standard input)
 *
 * Where and as whom is said by the environment: BAYEUX_URL, BAYEUX_KEY_ID, BAYEUX_SECRET_FILE.
 */

declare(strict_types=1);

namespace Bayeux;

const TIMEOUT = 5; // seconds
const PAUSE = 1;
const COMPACT = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;

/** The server refuses, and says why. */
class PublishError extends \RuntimeException
{
}

/** The server has not said a word: it may have published, or not. */
class NoReply extends PublishError
{
}

/** Publish anything that JSON can hold.  Throws PublishError. */
function publish(string $channel, mixed $data): void
{
    send(sign($channel, json_encode($data, COMPACT)));
}

/** Return the message that publishes a payload: JSON text, signed and sent as it stands. */
function sign(string $channel, string $payload): array
{
    $secret = @file_get_contents(setting('BAYEUX_SECRET_FILE'));
    if ($secret === false) {
        throw new \RuntimeException('the secret cannot be read: ' . setting('BAYEUX_SECRET_FILE'));
    }
    [$kid, $ts, $nonce] = [setting('BAYEUX_KEY_ID'), time(), bin2hex(random_bytes(16))];
    $text = implode("\n", ['bayeux-publish-v1', $kid, $ts, $nonce, $channel, $payload]);
    $sig = hash_hmac('sha256', $text, trim($secret));
    return ['channel' => $channel, 'data' => $payload,
        'ext' => ['hmac' => ['v' => 1, 'kid' => $kid, 'ts' => $ts, 'nonce' => $nonce, 'sig' => $sig]]];
}

/** Post a message, and again if there is no reply: one signature is published only once. */
function send(array $message): void
{
    try {
        [$successful, $error] = post($message);
    } catch (NoReply) {
        sleep(PAUSE);
        [$successful, $error] = post($message);
    }
    if (!$successful) {
        throw new PublishError("the server refuses: $error");
    }
}

/** Return what the server replies to a message.  Throws NoReply. */
function post(array $message): array
{
    $request = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'timeout' => TIMEOUT,
        'content' => json_encode([$message], COMPACT), 'follow_location' => 0];
    error_clear_last();
    $answer = @file_get_contents(setting('BAYEUX_URL'), false, stream_context_create(['http' => $request]));
    $reply = json_decode((string) $answer, true)[0] ?? null;
    if (!isset($reply['successful'])) {
        $reason = error_get_last()['message'] ?? 'this is no Bayeux server';
        throw new NoReply('no reply from ' . setting('BAYEUX_URL') . ": $reason");
    }
    return [$reply['successful'], $reply['error'] ?? ''];
}

function setting(string $name): string
{
    return getenv($name) ?: throw new \RuntimeException("$name is not set");
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    try {
        match ($argc) {
            2, 3 => send(sign($argv[1], $argv[2] ?? stream_get_contents(STDIN))),
            default => throw new \RuntimeException('usage: php publish.php CHANNEL [JSON]'),
        };
    } catch (\RuntimeException | \JsonException $problem) {
        fwrite(STDERR, "publish.php: {$problem->getMessage()}\n");
        exit(1);
    }
}
