drop table leaders, processes, workers, queues, workflows, revisions, registry;
