"""Makes ``bayeux`` a command of twistd."""

from twisted.application.service import ServiceMaker

bayeux = ServiceMaker("Bayeux", "bayeux.tap", "A high-concurrency Comet server (Bayeux protocol).", "bayeux")
