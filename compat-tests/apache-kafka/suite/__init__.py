"""Apache Kafka's own integration tests, run on Ottla and compared with Apache Kafka."""
