COUNT = (COUNT or 0) + 1 host.out("sleep 0.05; echo x") return COUNT
