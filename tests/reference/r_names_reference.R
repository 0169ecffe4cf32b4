# Rscript r_names_reference.R > r_names_reference.json (R 4.2.2)
args <- c("a b","a.b","_x","1y","if","TRUE",".2z","..1","größe","词","item","Item No.","","a-b","a..b","x²","naïve-1","%","NA","next","a b ","Ωmega","e\u0301","a.b.1","in","...","-x","=y","x'y","(z)","RT (ms)","Inf","a\tb","x_1","Function","function")
cat(jsonlite::toJSON(list(names=args, made=make.names(args, unique=TRUE)), pretty=TRUE))
