// Redpanda Connect with the parts that carry a Redis stream to Neo4j, and no others.
package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	_ "github.com/redpanda-data/connect/v4/public/components/cypher"
	_ "github.com/redpanda-data/connect/v4/public/components/redis"
)

func main() { service.RunCLI(context.Background()) }
