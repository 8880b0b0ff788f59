#!/usr/bin/env ruby
# frozen_string_literal: true

# Publish to a Bayeux server, signed: Bayeux.publish in a program, or at the command line
#
#     publish.rb /news/sport '{"score": "1:0"}'       (or with the JSON on standard input)
#
# Where and as whom is said by the environment: BAYEUX_URL, BAYEUX_KEY_ID, BAYEUX_SECRET_FILE.

require "json"
require "net/http"
require "openssl"
require "securerandom"

module Bayeux
  TIMEOUT = 5 # seconds
  PAUSE = 1

  # The server refuses, and says why.
  class PublishError < StandardError; end

  # The server has not said a word: it may have published, or not.
  class NoReply < PublishError; end

  module_function

  # Publish anything that JSON can hold.  Raises PublishError.
  def publish(channel, data)
    deliver(sign(channel, JSON.generate(data)))
  end

  # Return the message that publishes a payload: JSON text, signed and sent as it stands.
  def sign(channel, payload)
    secret = File.read(ENV.fetch("BAYEUX_SECRET_FILE")).strip
    kid, ts, nonce = ENV.fetch("BAYEUX_KEY_ID"), Time.now.to_i, SecureRandom.hex(16)
    text = ["bayeux-publish-v1", kid, ts, nonce, channel, payload].join("\n")
    sig = OpenSSL::HMAC.hexdigest("SHA256", secret, text)
    { channel: channel, data: payload, ext: { hmac: { v: 1, kid: kid, ts: ts, nonce: nonce, sig: sig } } }
  end

  # Post a message, and again if there is no reply: one signature is published only once.
  def deliver(message)
    successful, error = begin
      post(message)
    rescue NoReply
      sleep PAUSE
      post(message)
    end
    raise PublishError, "the server refuses: #{error}" unless successful
  end

  # Return what the server replies to a message.  Raises NoReply.
  def post(message)
    url, body = URI(ENV.fetch("BAYEUX_URL")), JSON.generate([message])
    options = { use_ssl: url.scheme == "https", open_timeout: TIMEOUT, read_timeout: TIMEOUT }
    begin
      answer = Net::HTTP.start(url.hostname, url.port, options) do |http|
        http.post(url.request_uri, body, "Content-Type" => "application/json")
      end
      answer.value # raises, unless it is a good one
      reply = JSON.parse(answer.body).first
      [reply.fetch("successful"), reply["error"]]
    rescue StandardError => e
      raise NoReply, "no reply from #{url}: #{e.message}"
    end
  end
end

if $PROGRAM_NAME == __FILE__
  abort "usage: publish.rb CHANNEL [JSON]" unless [1, 2].include?(ARGV.size)
  begin
    channel, payload = [ARGV[0], ARGV[1] || $stdin.read].map { |text| text.dup.force_encoding("UTF-8") }
    Bayeux.deliver(Bayeux.sign(channel, payload))
  rescue StandardError => e
    abort "publish.rb: #{e.message}"
  end
end
