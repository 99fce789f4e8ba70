module graphwriter/bench/redpanda

go 1.26.6

require github.com/redpanda-data/connect/v4 v4.105.0

replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3
