module dagger/python-sdk

go 1.25.0
